"""Files from outside and files that are written: bounds, locks, what a killed process leaves, interrupts."""
