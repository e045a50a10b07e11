package e2e

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/internal/stack"
)

const mib = 1 << 20

// The clients that people have, as they come, against the running system: what
// has arrived in the end is the file, byte for byte, or nothing is left. No worker
// takes media work here, so that what has arrived stays to be looked at.
func TestClients(t *testing.T) {
	t.Parallel()
	i := start(t, stack.Options{Workers: 2, Roles: []string{"control", "transfer"}}).insider()
	d := direct(t)
	d.chromium(t)
	for _, kind := range []string{"node", "chromium"} {
		i.play(t, d, kind, true, scenarios)
	}
}

var scenarios = []scenario{
	{"one PATCH", "", func(s *scene) { s.sends(3*mib + 17) }},
	{"chunks of 1 MiB", "", func(s *scene) { s.sends(3*mib+17, options{"chunkSize": mib}) }},
	{"chunks of 8 MiB", "", func(s *scene) { s.sends(20*mib, options{"chunkSize": 8 * mib}) }},
	{"odd chunks", "", func(s *scene) { s.sends(2*mib, options{"chunkSize": 300_001}) }},
	{"one byte", "", func(s *scene) { s.sends(1) }},
	{"one segment", "", func(s *scene) { s.sends(8 * mib) }},
	{"a byte more than a segment", "", func(s *scene) { s.sends(8*mib + 1) }},
	{"data with the creation", "", func(s *scene) { s.sends(3*mib, options{"uploadDataDuringCreation": true}) }},
	{"chunks, the first with the creation", "", func(s *scene) { s.sends(3*mib+1, options{"uploadDataDuringCreation": true, "chunkSize": mib}) }},
	{"method override", "", func(s *scene) { s.sends(2*mib, options{"overridePatchMethod": true, "chunkSize": mib}) }},
	{"request ids", "", func(s *scene) { s.sends(mib, options{"addRequestId": true}) }},
	{"IETF draft 03", "node", func(s *scene) { s.sends(2*mib, options{"protocol": "ietf-draft-03"}) }},
	{"IETF draft 05", "node", func(s *scene) { s.sends(2*mib, options{"protocol": "ietf-draft-05"}) }},
	{"deferred length", "", (*scene).deferredLength},
	{"unicode metadata", "", (*scene).unicodeMetadata},
	{"metadata without values", "", (*scene).metadataWithoutValues},
	{"right checksums", "", (*scene).rightChecksums},
	{"wrong checksum", "", (*scene).wrongChecksum},
	{"wrong offsets", "", (*scene).wrongOffsets},
	{"over-long bodies", "", (*scene).overlongBodies},
	{"empty file", "", refusedAtOnce(0, http.StatusBadRequest, nil)},
	{"too large", "", refusedAtOnce(mib, http.StatusRequestEntityTooLarge, options{"uploadSize": 400_000_000})},
	{"parallel parts", "", refusedAtOnce(mib, http.StatusBadRequest, options{"parallelUploads": 2})},
	{"nobody", "", refusedAtOnce(mib, http.StatusUnauthorized, options{"headers": map[string]string{}})},
	{"a wrong token at the beginning", "", refusedAtOnce(mib, http.StatusUnauthorized, options{"headers": map[string]string{"Authorization": "Bearer dev:"}})},
	{"a wrong token later", "", (*scene).wrongTokenLater},
	{"a video announced before", "", (*scene).announcedBefore},
	{"an Idempotency-Key", "", (*scene).idempotencyKey},
	{"abort and resume", "", (*scene).abortAndResume},
	{"the client dies and another goes on", "", (*scene).dies},
	{"page reload", "chromium", (*scene).pageReload},
	{"two of the same file", "", (*scene).twoOfTheSame},
	{"two clients on one upload", "", (*scene).twoOnOne},
	{"the same file in two tabs, one upload", "", (*scene).sameFingerprint},
	{"paused", "", (*scene).paused},
	{"paused for a moment", "", (*scene).pausedForAMoment},
	{"canceled", "", (*scene).canceled},
	{"kept as a draft", "", (*scene).keptAsDraft},
	{"terminated by the client", "", (*scene).terminated},
	{"deleted by the API", "", (*scene).deletedByAPI},
	{"slow", "node", (*scene).slow},
	{"cut again and again", "", (*scene).cutAgainAndAgain},
	{"connections reset", "node", (*scene).connectionsReset},
	{"headers for other origins", "chromium", (*scene).otherOrigins},
	{"Uppy", "chromium", (*scene).uppy},
}

// sends is an upload that nothing happens to.
func (s *scene) sends(size int64, more ...options) {
	s.t.Helper()
	f, c := s.file(size), s.client()
	c.do(s.send(f, more...))
	s.arrived(c.succeeds(), f)
}

func (s *scene) deferredLength() {
	f, c := s.file(3*mib+5), s.client()
	o := s.send(f, options{"uploadLengthDeferred": true, "chunkSize": mib})
	o.Stream = true
	c.do(o)
	s.arrived(c.succeeds(), f)
}

// metadataOf reads what HEAD answers.
func (s *scene) metadataOf(url string) map[string]string {
	s.t.Helper()
	values := map[string]string{}
	for _, pair := range strings.Split(tus(s.t, http.MethodHead, url).Header.Get("Upload-Metadata"), ",") {
		name, encoded, _ := strings.Cut(strings.TrimSpace(pair), " ")
		value, err := base64.StdEncoding.DecodeString(encoded)
		s.must(err)
		values[name] = string(value)
	}
	return values
}

func (s *scene) unicodeMetadata() {
	f, c := s.file(mib), s.client()
	said := map[string]string{"filename": "ねこ 🐈 — кот.mp4", "title": "Ein Kätzchen, 小猫 🐾", "caption": "مرحبا\nاليوم", "music": "ÿ\u200d👩‍👩‍👧"}
	c.do(s.send(f, options{"metadata": said}))
	url := c.succeeds()
	v, err := s.api().Video(s.ctx, s.idOf(url))
	s.must(err)
	if v.Title != said["title"] {
		s.t.Errorf("the title became %q", v.Title)
	}
	back := s.metadataOf(url)
	for name, value := range said {
		if back[name] != value {
			s.t.Errorf("%s was %q and came back as %q", name, value, back[name])
		}
	}
	s.arrived(url, f)
}

func (s *scene) metadataWithoutValues() {
	f, c := s.file(mib), s.client()
	c.do(s.send(f, options{"metadata": map[string]string{"caption": "", "title": "A"}}))
	url := c.succeeds()
	back := s.metadataOf(url)
	if value, there := back["caption"]; !there || value != "" || back["title"] != "A" {
		s.t.Errorf("HEAD answers with the metadata %q", back)
	}
	s.arrived(url, f)
	post := func(metadata string) *http.Response {
		return tus(s.t, http.MethodPost, s.endpoint(), "Authorization", "Bearer dev:"+s.user, "Upload-Length", "5", "Upload-Metadata", metadata)
	}
	answer := post("caption")
	if answer.StatusCode != http.StatusCreated {
		s.t.Fatalf("a key alone is answered with %d", answer.StatusCode)
	}
	s.ends(s.idOf(answer.Header.Get("Location")))
	if answer := post("visibilty cHJpdmF0ZQ=="); answer.StatusCode != http.StatusBadRequest {
		s.t.Errorf("a key that isn't known is answered with %d", answer.StatusCode)
	}
}

// checksums are those of the chunks of a file, in turns of each kind.
func (s *scene) checksums(f file, chunk int) map[string]string {
	content, err := os.ReadFile(f.path)
	s.must(err)
	sums := map[string]string{}
	for n, at := 0, 0; at < len(content); n, at = n+1, at+chunk {
		piece := content[at:min(at+chunk, len(content))]
		a, b, c := sha1.Sum(piece), sha256.Sum256(piece), md5.Sum(piece)
		sum := []string{"sha1 " + base64.StdEncoding.EncodeToString(a[:]), "sha256 " + base64.StdEncoding.EncodeToString(b[:]),
			"md5 " + base64.StdEncoding.EncodeToString(c[:])}
		sums[strconv.Itoa(at)] = sum[n%3]
	}
	return sums
}

func (s *scene) rightChecksums() {
	f, c := s.file(4*mib+3), s.client()
	o := s.send(f, options{"chunkSize": mib})
	o.Checksums = s.checksums(f, mib)
	c.do(o)
	s.arrived(c.succeeds(), f)
}

// Of a chunk whose checksum is wrong nothing is kept, and what came before stays.
func (s *scene) wrongChecksum() {
	f, c := s.file(4*mib), s.client()
	o := s.send(f, options{"chunkSize": mib})
	o.Checksums = s.checksums(f, mib)
	o.Checksums[strconv.Itoa(2*mib)] = o.Checksums["0"]
	c.do(o)
	url, _ := s.begun(c)
	c.fails(460)
	if at := s.offsetAt(url); at != strconv.Itoa(2*mib) {
		s.t.Errorf("the upload stands at %s", at)
	}
	again := s.client()
	o = s.send(f, options{"chunkSize": mib, "uploadUrl": url})
	o.Checksums = s.checksums(f, mib)
	again.do(o)
	s.arrived(again.succeeds(), f)
}

// half sends the first chunks of a file, up to its middle.
func (s *scene) half(f file, c *tusClient) (url string) {
	s.t.Helper()
	content, err := os.ReadFile(f.path)
	s.must(err)
	v, err := s.api().Create(s.ctx, client.NewVideo{Source: client.Source{Size: f.size}})
	s.must(err)
	if answer := s.patch(v.UploadURL(), "0", content[:f.size/2], false); answer.StatusCode != http.StatusNoContent {
		s.t.Fatalf("the first half is answered with %d", answer.StatusCode)
	}
	return v.UploadURL()
}

func (s *scene) wrongOffsets() {
	f, c := s.file(2*mib), s.client()
	url := s.half(f, c)
	for offset, want := range map[string]int{
		"0": http.StatusConflict, strconv.Itoa(mib - 1): http.StatusConflict, strconv.Itoa(mib + 1): http.StatusConflict,
		strconv.Itoa(2 * mib): http.StatusConflict, strconv.Itoa(9 * mib): http.StatusConflict,
		"-1": http.StatusBadRequest, "": http.StatusBadRequest, "one": http.StatusBadRequest, "99999999999999999999": http.StatusBadRequest,
	} {
		if answer := s.patch(url, offset, []byte("wrong"), false); answer.StatusCode != want {
			s.t.Errorf("a PATCH at %q is answered with %d instead of %d", offset, answer.StatusCode, want)
		}
	}
	if at := s.offsetAt(url); at != strconv.Itoa(mib) {
		s.t.Errorf("the upload stands at %s", at)
	}
	c.do(s.send(f, options{"uploadUrl": url}))
	s.arrived(c.succeeds(), f)
}

func (s *scene) overlongBodies() {
	f, c := s.file(2*mib), s.client()
	url := s.half(f, c)
	for _, chunked := range []bool{false, true} {
		if answer := s.patch(url, strconv.Itoa(mib), make([]byte, 3*mib), chunked); answer.StatusCode != http.StatusRequestEntityTooLarge {
			s.t.Errorf("too many bytes (chunked: %t) are answered with %d", chunked, answer.StatusCode)
		}
	}
	if at := s.offsetAt(url); at != strconv.Itoa(mib) {
		s.t.Errorf("the upload stands at %s", at)
	}
	c.do(s.send(f, options{"uploadUrl": url}))
	s.arrived(c.succeeds(), f)
}

// refusedAtOnce is an upload that ends before it begins: the client stops, and there is no video.
func refusedAtOnce(size int64, status int, more options) func(*scene) {
	return func(s *scene) {
		c := s.client()
		c.do(s.send(s.file(size), more))
		if e := c.fails(status); !strings.Contains(e.Body, `"detail":"`) {
			s.t.Errorf("the answer doesn't say why: %s", e.Body)
		}
		mine, _, err := s.api().Videos(s.ctx, "", "")
		s.must(err)
		if len(mine) != 0 {
			s.t.Errorf("there is a video all the same: %s", mine[0].ID)
		}
	}
}

// Whose token has ended meanwhile can send on: the URL is enough.
func (s *scene) wrongTokenLater() {
	f, c := s.file(2*mib), s.client()
	url := s.half(f, c)
	for _, token := range []string{"Bearer dev:", "Bearer nonsense", "Basic eA=="} {
		if code := tus(s.t, http.MethodHead, url, "Authorization", token).StatusCode; code != http.StatusOK {
			s.t.Errorf("HEAD with %q answers %d", token, code)
		}
	}
	c.do(s.send(f, options{"uploadUrl": url, "headers": map[string]string{"Authorization": "Bearer nonsense"}}))
	s.arrived(c.succeeds(), f)
}

// Whoever says which video is meant gets the same upload each time.
func (s *scene) announcedBefore() {
	f := s.file(2 * mib)
	v, err := s.api().Create(s.ctx, client.NewVideo{Title: "Before", Source: client.Source{Size: f.size}})
	s.must(err)
	s.twice(f, options{"metadata": map[string]string{"video_id": string(v.ID)}})
}

func (s *scene) idempotencyKey() {
	s.twice(s.file(2*mib), options{"headers": map[string]string{"Authorization": "Bearer dev:" + s.user, "Idempotency-Key": "once"}})
}

func (s *scene) twice(f file, o options) {
	s.t.Helper()
	one, two := s.client(), s.client()
	s.line.slow(mib)
	one.do(s.send(f, o))
	_, first := s.underWay(one)
	two.do(s.send(f, o))
	if _, second := s.begun(two); first != second {
		s.t.Errorf("there are two videos, %s and %s", first, second)
	}
	s.persists(one)
	s.arrived(s.persists(two), f)
}
