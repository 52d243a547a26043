#include "carry.h"

static int on_reached(void *arg, char *remote_ip, char *local_ip,
                      int remote_port, int local_port) {
  wrenn_transfer *transfer = arg;
  (void)remote_ip;
  (void)local_ip;
  (void)remote_port;
  (void)local_port;
  transfer->reached = true;
  return CURL_PREREQFUNC_OK;
}

wrenn_status wrenn_carry_prepare(wrenn_loop *loop, wrenn_transfer *transfer,
                                 const char *url, const wrenn_net *net,
                                 const wrenn_deadlines *limits) {
  transfer->special = transfer->carries = true;
  wrenn_status status =
      wrenn_transfer_prepare(loop, transfer, url, net, limits);
  if (status)
    return status;
  curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE, (long)WRENN_READ_SIZE);
  curl_easy_setopt(transfer->easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  curl_easy_setopt(transfer->easy, CURLOPT_PREREQFUNCTION, on_reached);
  curl_easy_setopt(transfer->easy, CURLOPT_PREREQDATA, transfer);
  return WRENN_OK;
}

bool wrenn_carry_begin(wrenn_transfer *transfer, CURLcode code,
                       curl_socket_t *fd, wrenn_watch_cb *ready, void *arg) {
  if (transfer->error || code != CURLE_OK) {
    wrenn_transfer_fail(transfer, code, WRENN_E_CONNECT);
    return false;
  }
  curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, fd);
  if (*fd == CURL_SOCKET_BAD ||
      !wrenn_watch_take(transfer->engine, *fd, ready, arg)) {
    wrenn_op_fail(&transfer->op, WRENN_E_CONNECT, "the connection was lost");
    return false;
  }
  return true;
}

/* Without TLS a short read has taken all. */
CURLcode wrenn_carry_read(wrenn_transfer *transfer, wrenn_block *block,
                          bool to_end, size_t *filled) {
  CURLcode code = CURLE_OK;
  bool whole = transfer->tls || to_end;
  size_t len, room = WRENN_READ_SIZE;
  *filled = 0;
  do {
    len = 0;
    code = curl_easy_recv(transfer->easy, block->bytes + *filled, room, &len);
    *filled += len;
    if (!code && len && len < room && !whole)
      return CURLE_AGAIN;
    room -= len;
  } while (!code && len && room);
  return code || len ? code : CURLE_GOT_NOTHING;
}
