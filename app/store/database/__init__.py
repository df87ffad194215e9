"""The database itself: where it runs, connections, migrations, partitions and how much room it takes."""
