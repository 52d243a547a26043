-- What `wrenn help` and the manual say besides the commands.

local topics = { names = { "environment", "exit-status", "conventions" } }

topics.texts = {
  environment = [[
WRENN_API_KEY       the API key
WRENN_BASE_URL      the URL of the API; default: https://app.wrenn.dev/api
WRENN_PROXY_DOMAIN  the domain of the capsules' ports
WRENN_CAPSULE       the capsule where a command that takes one ID has none
WRENN_LOCAL         the program wrenn-local
WRENN_LUA           the Lua that runs wrenn
NO_COLOR            not empty: no bold text
https_proxy, http_proxy, all_proxy, no_proxy, SSL_CERT_FILE, SSL_CERT_DIR
                    as for curl

Without WRENN_API_KEY, the server that `wrenn local start` has started is used.
]],
  ["exit-status"] = [[
0      success
2      misuse: a wrong flag or operand
124    a time limit has passed
125    wrenn failed: the network, the key, no such capsule
126    the command cannot be run
127    there is no such command
128+N  the command was killed by signal N
130    Ctrl-C
141    nobody reads the output any more

Otherwise it is that of the command in the capsule.
]],
  conventions = [[
stdout is data, stderr is talk. With --json, stdout is JSON: an array of what
is listed, an object of what is single, a line for each event of a stream; an
error is JSON on stderr. -q prints ids only.

An ID may be the beginning of one, if only one capsule's id begins so.

A duration is in seconds (90), or has units (5m, 1h30m, 1.5s). A size is in
megabytes (512), or has a unit (512M, 2G).

Questions are only asked on a terminal. -- ends the options.
]],
}

return topics
