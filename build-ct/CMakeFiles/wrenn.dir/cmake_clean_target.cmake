file(REMOVE_RECURSE
  "libwrenn.a"
)
