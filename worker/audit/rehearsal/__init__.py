"""What a policy under rehearsal would change."""
