"""Documents for people: one PDF a study and the worklist page. Plain data in, bytes or text out."""
