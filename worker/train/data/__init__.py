"""From data sets to labelled rows: one row format, readers, labels and what follows from them, splits."""
