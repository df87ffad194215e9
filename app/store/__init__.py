"""PostgreSQL: the only SQL. Writes what the recorder hands over, reads what the console asks for."""
