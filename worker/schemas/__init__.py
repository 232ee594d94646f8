"""Make the files of ``schemas/`` from the types and topics of this program; no part of the running worker."""
