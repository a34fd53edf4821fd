"""One concept per file: a frozen description beside its scalar compiled rules."""
