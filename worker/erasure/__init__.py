"""Words of subjects: under which keys they are sealed, how they are read again, and how they are erased."""
