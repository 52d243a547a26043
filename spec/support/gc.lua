-- A busted helper (run-tests.sh with GC=1): the collector runs all the time, so
-- that objects without a reference are collected before they could be used.
collectgarbage("setpause", 1)
collectgarbage("setstepmul", 10000)
