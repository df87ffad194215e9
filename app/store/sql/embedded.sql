-- create_database: Makes the database of the embedded cluster; run once, in single-user mode.
CREATE DATABASE verbatim;
