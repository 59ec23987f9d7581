"""What is remembered: rows (`models`, `claims`, `queries`) and bytes (`objects`)."""
