package gateway

import (
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
)

// texts are the types of what is compressed: what is made for each request and more than
// a kilobyte long.
var texts = []string{"text/html", "application/json", problem.MediaType, "application/openapi+json", "application/openapi+yaml"}

// newCompressor returns what compresses the answers of a route by gzip for those who
// accept it (RFC 9110, section 12.5.3). Requests for a range or for headers alone are
// passed on as they are. Up to 32 more bytes, by a hash of the answer, keep its length
// from telling what stands in it.
func newCompressor() (func(http.Handler) http.Handler, error) {
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1<<10), gzhttp.ContentTypes(texts), gzhttp.EnableZstd(false), gzhttp.RandomJitter(32, 0, true))
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		compressed := compress(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
				next.ServeHTTP(w, r)
				return
			}
			compressed(w, r)
		})
	}, nil
}

// mayCompress reports whether the answers of a route may be compressed. Assets are by
// themselves, video can't be made smaller, and events and uploads are answered at once,
// byte by byte.
func mayCompress(pattern string) bool {
	_, path, _ := strings.Cut(pattern, " ")
	for _, prefix := range []string{"/assets/", "/play/", "/media/", uploads.Path} {
		if strings.HasPrefix(path+"/", prefix) {
			return false
		}
	}
	return !strings.HasSuffix(path, "/events")
}
