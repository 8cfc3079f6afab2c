"""What happened to devices and who did it: the log of each device, and the audit trail of people."""
