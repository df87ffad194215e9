"""What the recorder hands over, written once; and what is changed afterwards."""
