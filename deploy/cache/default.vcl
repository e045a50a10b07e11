# A cache of segments, and of nothing else. A segment is noise without its key, which only a
# gateway hands out: what stays here after an erasure says nothing to anybody. It is dropped
# by its video all the same, with
#
#   PURGE / HTTP/1.1
#   xkey: ID OF THE VIDEO
#
# from the network that cache, proxy and gateways share; the proxy lets no PURGE through.
vcl 4.1;

import xkey;

backend origin {
  .path = "/sockets/origin.sock";
  .connect_timeout = 3s;
  .first_byte_timeout = 30s;
  .between_bytes_timeout = 30s;
}

sub vcl_recv {
  if (req.url == "/cache-health") {
    return (synth(200));
  }
  if (req.method == "PURGE") {
    if (!req.http.xkey) {
      return (synth(400, "No xkey"));
    }
    set req.http.X-Purged = xkey.purge(req.http.xkey);
    return (synth(200));
  }
  if (req.url !~ "^/media/[a-z2-7]+/[^/?]+/[^/?]+$" || (req.method != "GET" && req.method != "HEAD")) {
    return (pass);
  }
  # Who asks makes no difference to a segment.
  unset req.http.Cookie;
  unset req.http.Authorization;
  return (hash);
}

sub vcl_backend_response {
  # What was erased is gone at once, also while the gateways can't be asked.
  set beresp.grace = 0s;
  set beresp.keep = 0s;
  if (beresp.status != 200 || beresp.http.Cache-Control !~ "immutable") {
    set beresp.uncacheable = true;
    set beresp.ttl = 0s;
    return (deliver);
  }
  set beresp.http.xkey = regsub(bereq.url, "^/media/([a-z2-7]+)/.*$", "\1");
}

sub vcl_deliver {
  unset resp.http.xkey;
  unset resp.http.Via;
  unset resp.http.X-Varnish;
  if (obj.hits > 0) {
    set resp.http.X-Cache = "HIT";
  } else {
    set resp.http.X-Cache = "MISS";
  }
}

sub vcl_synth {
  if (req.http.X-Purged) {
    set resp.http.X-Purged = req.http.X-Purged;
  }
}
