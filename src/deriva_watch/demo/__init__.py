"""The demo: a server, a daemon, programs that write executions, and a check of what came of it.

script     what the executions of the demo write, and when: data
content    what their files contain: images, tables, logs, weights
instruments  what a scanner and a sequencer leave, which know nothing of deriva-ml
layouts    the places where programs put files and what they say of them
producer   writes by the script, and remembers the digests
server     plain HTTP to the server; shares no code with the daemon's client
processes  the server and the daemon as processes of their own
screen     how far the journal says everything is: a live table, or lines
check      what the server holds against what was written
play       all of it, in order
"""
