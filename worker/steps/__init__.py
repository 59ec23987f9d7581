"""What each stage does with the rows it claimed: reads rows, calls the pure parts, commits the next state."""
