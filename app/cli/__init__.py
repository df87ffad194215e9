"""The command line, and composition: the only place where the stages meet.

main.py         the verbs; one file a verb beside it
supervisor.py   one parent without an event loop, its children, start, restart and stop
children.py     what each child process is made of
process.py      what the kernel is told about a process
listeners.py    sockets, bound before anything is forked
"""
