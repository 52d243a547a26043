file(REMOVE_RECURSE
  "libwrenn_codec.a"
)
