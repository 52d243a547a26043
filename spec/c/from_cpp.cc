/* The header in a C++ program, and a call that gets to the library. */
#include <wrenn/wrenn.h>
#include <cstdio>
int main() {
  wrenn_status why;
  wrenn_loop *loop = wrenn_loop_new(&why);
  wrenn_http_options options = {};
  options.size = sizeof options;
  wrenn_id id;
  bool refused = wrenn_http_start(loop, &options, &id) == WRENN_E_ARGUMENT;
  wrenn_loop_free(loop);
  std::printf("C++: wrenn %s\n", wrenn_version());
  return refused ? 0 : 1;
}
