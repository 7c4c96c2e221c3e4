"""The demo: a server, a daemon, programs that write executions, and a check of the result.

executions  the one table of what is written, where and when; `content` has the bytes
writer      the programs, which write it
server      plain HTTP to the server, which shares no code with the daemon's client
check       compares what the server holds with what was written
play        all of it, in order; deriva-watch.toml has the daemon's settings
screen      what people see meanwhile, and at the end
"""
