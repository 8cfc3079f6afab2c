"""Who may do what, held against the whole route table and every event."""
