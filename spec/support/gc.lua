-- A busted helper (run-tests.sh with GC=1): the collector never rests, so what
-- is not held is gone before it could be used again.
collectgarbage("setpause", 1)
collectgarbage("setstepmul", 10000)
