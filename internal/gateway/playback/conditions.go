package playback

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// part is what of a representation a request is answered with.
type part struct {
	status         int   // 200, 206, 304, 412 or 416
	offset, length int64 // bytes, of 200 and 206
}

// partFor decides it for a GET or HEAD of a representation with a strong ETag, in the
// order of RFC 9110, section 13.2.2. Dates are not asked for, because none is sent.
func partFor(r *http.Request, etag string, size int64) part {
	h := r.Header
	whole := part{http.StatusOK, 0, size}
	if match := h.Get("If-Match"); match != "" && !listed(match, etag, false) {
		return part{status: http.StatusPreconditionFailed}
	}
	if match := h.Get("If-None-Match"); match != "" && listed(match, etag, true) {
		return part{status: http.StatusNotModified}
	}
	if condition := h.Get("If-Range"); condition != "" && condition != etag {
		return whole
	}
	if r.Method != http.MethodGet {
		return whole // section 14.2: no other method has ranges
	}
	return rangeOf(h.Values("Range"), whole)
}

// listed reports whether a list of entity tags has etag, which is strong. A weak one
// stands for it only where weak comparison is asked for (section 8.8.3.2).
func listed(list, etag string, weak bool) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// rangeOf follows a single range of bytes. Whatever else stands in Range is answered
// as if there were none, which section 14.2 leaves to the server: several ranges cost
// the store a request each.
func rangeOf(headers []string, whole part) part {
	if len(headers) != 1 {
		return whole
	}
	unit, spec, ok := strings.Cut(headers[0], "=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return whole
	}
	if first == "" {
		return suffixOf(last, whole)
	}
	from, err := strconv.ParseUint(first, 10, 63)
	to := uint64(whole.length - 1)
	if last != "" && err == nil {
		to, err = strconv.ParseUint(last, 10, 63)
	}
	switch {
	case err != nil || to < from && last != "":
		return whole
	case int64(from) >= whole.length:
		return part{status: http.StatusRequestedRangeNotSatisfiable}
	}
	to = min(to, uint64(whole.length-1))
	return part{http.StatusPartialContent, int64(from), int64(to-from) + 1}
}

func suffixOf(last string, whole part) part {
	n, err := strconv.ParseUint(last, 10, 63)
	switch {
	case err != nil:
		return whole
	case n == 0 || whole.length == 0:
		return part{status: http.StatusRequestedRangeNotSatisfiable}
	}
	length := min(int64(n), whole.length)
	return part{http.StatusPartialContent, whole.length - length, length}
}

// writeHead writes what precedes the bytes of a part: all there is of a 304.
func (p part) writeHead(w http.ResponseWriter, size int64) {
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	switch p.status {
	case http.StatusPartialContent:
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", p.offset, p.offset+p.length-1, size))
		fallthrough
	case http.StatusOK:
		h.Set("Content-Length", strconv.FormatInt(p.length, 10))
	case http.StatusNotModified:
		h.Del("Content-Type")
		h.Del("Content-Disposition")
	}
	w.WriteHeader(p.status)
}

// refused is the problem of a part that is none, or nil.
func (p part) refused(w http.ResponseWriter, size int64) error {
	var refusal *problem.Problem
	switch p.status {
	case http.StatusPreconditionFailed:
		refusal = problem.New(video.Invalid, "What is at this address is not what If-Match asks for.")
	case http.StatusRequestedRangeNotSatisfiable:
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		refusal = problem.New(video.Invalid, fmt.Sprintf("The range begins behind the end: there are %d bytes.", size))
	default:
		return nil
	}
	refusal.Status, refusal.Title = p.status, http.StatusText(p.status)
	return refusal
}
