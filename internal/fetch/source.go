package fetch

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/reelflow/reelflow/video"
)

// Version tells one state of a source from another (RFC 9110, section 8.8).
type Version struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Length       int64  `json:"length"` // bytes; -1 while the source does not say
}

func versionOf(answer *http.Response, length int64) Version {
	return Version{answer.Header.Get("ETag"), answer.Header.Get("Last-Modified"), length}
}

// guard is a validator that If-Range takes, if there is one: section 13.1.5
// demands a strong one.
func (v Version) guard() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	if v.ETag == "" {
		return v.LastModified
	}
	return ""
}

// contradicts reports whether two answers can't be about the same bytes.
func (v Version) contradicts(other Version) bool {
	switch {
	case v.Length >= 0 && other.Length >= 0 && v.Length != other.Length:
		return true
	case v.ETag != "" && other.ETag != "":
		return v.ETag != other.ETag
	}
	return v.LastModified != "" && other.LastModified != "" && v.LastModified != other.LastModified
}

// Origin is where a video is fetched from, and in which state it was found. It
// rests in catalog.Upload.Sealed, sealed as OriginColumn.
type Origin struct {
	URL     string   `json:"url"`
	Version *Version `json:"version,omitempty"` // nil until the first answer
}

// OriginColumn is the identity under which the origin of a video is sealed.
func OriginColumn(id video.ID) string { return "uploads.sealed/import/" + string(id) }

// Source is a file that was found at an address. Stream it or Close it.
type Source struct {
	Version
	Ranges bool  // may be read from any offset on, by several at once
	Start  int64 // where Stream begins: the offset asked for with ranges, else 0

	client  *Client
	address string         // after redirects
	first   *http.Response // its bytes from Start on
}

// Open asks for the file from an offset on; from must be 0 unless known says what
// was found there before. It fails with Conflict when that is not there any more
// and TooLarge when it is over the limit.
func (c *Client) Open(ctx context.Context, address string, from int64, known *Version) (*Source, error) {
	u, err := c.policy.parse(address)
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = &Version{Length: -1}
	}
	answer, err := c.get(ctx, u.String(), from, from+stretchSize-1, known.guard())
	if err != nil {
		return nil, err
	}
	s, err := c.understand(answer, from)
	if s == nil && err == nil { // ranges that nobody can rely on: none, then
		answer.Body.Close()
		if answer, err = c.get(ctx, u.String(), 0, -1, ""); err != nil {
			return nil, err
		}
		s, err = c.understand(answer, 0)
		if s == nil && err == nil {
			err = video.Errorf(video.Invalid, "The host to import from does not keep to HTTP.")
		}
	}
	if err == nil && known.contradicts(s.Version) {
		err = changed()
	}
	if err == nil && s.Length > c.policy.MaxBytes {
		err = c.tooLarge()
	}
	if err != nil {
		answer.Body.Close()
		return nil, err
	}
	return s, nil
}

// understand makes a source of the first answer, or nil where its range is odd.
func (c *Client) understand(answer *http.Response, from int64) (*Source, error) {
	s := &Source{client: c, address: answer.Request.URL.String(), first: answer}
	switch answer.StatusCode {
	case http.StatusOK:
		s.Version = versionOf(answer, answer.ContentLength)
		return s, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if from > 0 {
			return nil, changed()
		}
		if answer.Header.Get("Content-Range") != "bytes */0" {
			return nil, nil
		}
		s.Version, s.Ranges = versionOf(answer, 0), true
		return s, nil
	}
	start, total, ok := contentRange(answer)
	if !ok || start != from {
		return nil, nil
	}
	s.Version, s.Ranges, s.Start = versionOf(answer, total), true, from
	return s, nil
}

// contentRange reads where a 206 begins and how long the whole is.
func contentRange(answer *http.Response) (start, total int64, ok bool) {
	var end int64
	header := answer.Header.Get("Content-Range")
	if n, err := fmt.Sscanf(header, "bytes %d-%d/", &start, &end); n != 2 || err != nil {
		return 0, 0, false
	}
	_, whole, _ := strings.Cut(header, "/")
	total, err := strconv.ParseInt(whole, 10, 64)
	return start, total, err == nil && start >= 0 && start <= end && end < total
}

// between asks for the bytes from first to last of the version that was opened.
func (s *Source) between(ctx context.Context, first, last int64) (*http.Response, error) {
	answer, err := s.client.get(ctx, s.address, first, last, s.guard())
	if err != nil {
		if video.CodeOf(err).Permanent() {
			// An address behind a redirect may have run out: asking for the first
			// one again will show whether the file is really gone.
			err = broken(err)
		}
		return nil, err
	}
	start, total, ok := contentRange(answer)
	switch got := versionOf(answer, total); {
	case answer.StatusCode == http.StatusOK && s.contradicts(versionOf(answer, answer.ContentLength)),
		answer.StatusCode == http.StatusRequestedRangeNotSatisfiable,
		answer.StatusCode == http.StatusPartialContent && ok && s.contradicts(got):
		err = changed()
	case answer.StatusCode != http.StatusPartialContent || !ok || start != first:
		err = broken(fmt.Errorf("asked for a range from %d, got HTTP %d from %d", first, answer.StatusCode, start))
	default:
		return answer, nil
	}
	answer.Body.Close()
	return nil, err
}

// Close gives up a source that was not streamed.
func (s *Source) Close() error { return s.first.Body.Close() }

func (c *Client) tooLarge() error {
	return video.Errorf(video.TooLarge, "The file at the address is larger than %d bytes (%.1f MB), the most that is allowed.",
		c.policy.MaxBytes, float64(c.policy.MaxBytes)/1e6)
}
