"""What inference needs and nothing of training: no torch unless the torch engine is asked for."""
