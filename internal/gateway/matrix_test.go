package gateway

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/playback"
	"github.com/reelflow/reelflow/video"
)

// The matrix of every route by everybody, in every state that a video can be in,
// as the contract has it ("Who sees what", "Allowed"). A cell holds a letter for
// each of nobody, somebody else, the owner, an operator and a reviewer:
//
//	o  done            u  401, sign in    f  403, not theirs   n  404, no such video
//	c  409, not now    g  410, no more    l  423, paused       .  can't come about
//	s  303, led to sign in first          w  303, led to its own page
const matrix = `
            public unlist. private upload. review. sched.  draft  cancel. reject. hidden  pending purging purged never malf.
see         ooooo  ooooo   nnoon   nnoon   nnooo   nnoon   nnoon  nnoon   nnoon   nnoon   nnoon   ggoog   ggggg  nnnnn nnnnn
playback    ooooo  ooooo   nnoon   nnccn   nnooo   nnoon   nnccn  nnggn   nnggn   nnggn   nnggn   ggggg   ggggg  nnnnn nnnnn
pause       ufccf  ufccf   nnccn   nnoon   nnoof   nnoon   nnccn  nnccn   nnccn   nnccn   nnccn   ggccg   ggggg  nnnnn nnnnn
resume      ufccf  ufccf   nnccn   nnoon   nnoof   nnoon   nnoon  nnccn   nnccn   nnccn   nnccn   ggccg   ggggg  nnnnn nnnnn
cancel      ufccf  ufccf   nnccn   nnoon   nnoof   nnoon   nnoon  nnoon   nnccn   nnccn   nnccn   ggccg   ggggg  nnnnn nnnnn
approve     uffcc  uffcc   nnfcn   nnfcn   nnfoo   nnfcn   nnfcn  nnfcn   nnfcn   nnfcn   nnfcn   ggfcg   ggggg  nnnnn nnnnn
reject      uffcc  uffcc   nnfcn   nnfcn   nnfoo   nnfcn   nnfcn  nnfcn   nnfcn   nnfcn   nnfcn   ggfcg   ggggg  nnnnn nnnnn
publish     ufccf  ufccf   nnccn   nnccn   nnfof   nnoon   nnccn  nnccn   nnccn   nnccn   nnccn   ggccg   ggggg  nnnnn nnnnn
restore     uffcf  uffcf   nnfcn   nnfcn   nnfcf   nnfcn   nnfcn  nnfon   nnfon   nnfcn   nnfcn   ggfcg   ggggg  nnnnn nnnnn
hold        uffof  uffof   nnfon   nnfon   nnfof   nnfon   nnfon  nnfon   nnfon   nnfon   nnfon   ggfcg   ggggg  nnnnn nnnnn
release     uffof  uffof   nnfon   nnfon   nnfof   nnfon   nnfon  nnfon   nnfon   nnfon   nnfon   ggfcg   ggggg  nnnnn nnnnn
delete      ufoof  ufoof   nnoon   nnoon   nnoof   nnoon   nnoon  nnoon   nnoon   nnoon   nnoon   ggoog   ggggg  nnnnn nnnnn
captions    ufoof  ufoof   nnoon   nnoon   nnoof   nnoon   nnccn  nnccn   nnccn   nnggn   nnggn   ggggg   ggggg  nnnnn nnnnn
receipt     nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   nnnnn   nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   nnnnn   ooooo  nnnnn nnnnn
anyone's    ooooo  ooooo   nnnnn   nnnnn   nnnnn   nnnnn   nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   ggggg   ggggg  nnnnn nnnnn
insider's   ooooo  ooooo   ooooo   ggggg   ooooo   ooooo   ggggg  ggggg   ggggg   ggggg   ggggg   ggggg   ggggg  nnnnn nnnnn
reviewer's  ooooo  ooooo   nnnnn   nnnnn   ooooo   nnnnn   nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   ggggg   ggggg  nnnnn nnnnn
forged      uuuuu  uuuuu   nnnnn   nnnnn   nnnnn   nnnnn   nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   ggggg   ggggg  nnnnn nnnnn
segment     ooooo  ooooo   ooooo   nnnnn   ooooo   ooooo   nnnnn  nnnnn   nnnnn   nnnnn   nnnnn   ggggg   ggggg  nnnnn nnnnn
head        .....  .....   .....   ooooo   .....   .....   ooooo  ggggg   ggggg   ggggg   ggggg   ggggg   ggggg  nnnnn nnnnn
send        .....  .....   .....   ooooo   .....   .....   lllll  ggggg   ggggg   ggggg   ggggg   ggggg   ggggg  nnnnn nnnnn
terminate   ffcff  ffcff   ffcff   ooooo   ffoff   ffoff   ooooo  ooooo   ffoff   ffoff   ffoff   ffoff   ooooo  nnnnn nnnnn
announced   .....  .....   .....   unonn   .....   .....   unonn  ungnn   ungnn   ungnn   ungnn   ungnn   ugggg  unnnn unnnn
go on       swwww  swwww   snwwn   snown   snwww   snwwn   snwwn  snwwn   snwwn   snwwn   snwwn   sgwwg   sgggg  snnnn snnnn
my list     u-o--  u-o--   u-o--   u-o--   u-o--   u-o--   u-o--  u-o--   u-o--   u-o--   u-o--   u-o--   u----  u---- u----
list page   s-o--  s-o--   s-o--   s-o--   s-o--   s-o--   s-o--  s-o--   s-o--   s-o--   s-o--   s-o--   s----  s---- s----
my drafts   u----  u----   u----   u----   u----   u----   u-o--  u----   u----   u----   u----   u----   u----  u---- u----
draft page  s----  s----   s----   s----   s----   s----   s-o--  s----   s----   s----   s----   s----   s----  s---- s----
profile     ooooo  -----   -----   -----   -----   -----   -----  -----   -----   -----   -----   -----   -----  ----- -----
`

// In lists o is a video that is shown, and - one that is not.

// situation is a video in the state of a column, with everything that addresses
// need to lead to it.
type situation struct {
	id, upload, segment                string
	anyone, reviewer, insider, another string // tokens
}

var stages = map[string]video.Stage{
	"public": video.Published, "unlist.": video.Published, "private": video.Published, "upload.": video.Uploading,
	"review.": video.Reviewing, "sched.": video.Scheduled, "draft": video.Draft, "cancel.": video.Canceled,
	"reject.": video.Rejected, "hidden": video.Published, "pending": video.PendingDeletion, "purging": video.Purging, "purged": video.Purged,
}

// situation is of a video that was made for it; sent is whether every byte of its upload
// was sent, where that is so in such a stage.
func (s *site) situation(column string, packaged, sent bool) situation {
	s.t.Helper()
	stage, real := stages[column]
	if !real {
		id := map[string]string{"never": string(video.NewID()), "malf.": "not-an-id"}[column]
		return s.addressed(situation{id: id, upload: s.url + "/v1/uploads/" + s.creation.UploadToken(video.ID(id)), segment: "none.ts"})
	}
	visibility := map[string]string{"unlist.": "unlisted", "private": "private"}[column]
	if visibility == "" {
		visibility = "public"
	}
	v := s.made("owner", `{"visibility":"`+visibility+`","reviewers":["reviewer"],"allow_download":true,"source":{"size":1000}}`)
	at := situation{id: string(v.ID), upload: *v.Upload.URL, segment: "none.ts"}
	if packaged {
		at.segment = s.pack(v.ID)
	}
	if sent && stage != video.Uploading && stage != video.Draft && stage != video.Canceled {
		s.tus("", "PATCH", at.upload, strings.Repeat("x", 1000), "Upload-Offset", "0")
	}
	s.tus("", "HEAD", at.upload, "") // what was known once is known to be gone
	s.move(v.ID, stage)
	if column == "hidden" { // deleted, and its workflow may not know
		if _, err := s.catalog.Hide(s.t.Context(), v.ID); err != nil {
			s.t.Fatal(err)
		}
	}
	return s.addressed(at)
}

func (s *site) addressed(at situation) situation {
	until := time.Now().Add(time.Hour)
	at.anyone = s.players.Token(video.ID(at.id), playback.Anyone, until)
	at.reviewer = s.players.Token(video.ID(at.id), playback.Reviewer, until)
	at.insider = s.players.Token(video.ID(at.id), playback.Insider, until)
	at.another = s.players.Token(video.NewID(), playback.Insider, until)
	return at
}

// pack makes a video watchable, and returns the name of one of its segments.
func (s *site) pack(id video.ID) string {
	s.t.Helper()
	s.packaged(id)
	row, err := s.catalog.ControlOf(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.store(catalog.Leg{Video: id, Epoch: row.Epoch}, catalog.Object{Kind: catalog.KindPreview}, []byte("\xff\xd8preview"))
	if _, err := s.captions.Put(s.t.Context(), id, "en", []byte(someVTT)); err != nil {
		s.t.Fatal(err)
	}
	segments, err := s.catalog.Objects(s.t.Context(), id, catalog.Filter{Kind: catalog.KindSegment, Rendition: "720p"})
	if err != nil || len(segments) == 0 {
		s.t.Fatal(err)
	}
	return path.Base(segments[0].Key)
}

// asked is one way to ask a route about a video.
type asked struct {
	row, pattern string
	changes      bool // so that each asks about a video of their own
	ask          func(s *site, who string, at situation) answer
}

func get(row, pattern string, fill func(at situation) []string) asked {
	return asked{row: row, pattern: "GET " + pattern, ask: func(s *site, who string, at situation) answer {
		return s.request(who, "GET", strings.NewReplacer(fill(at)...).Replace(pattern), "")
	}}
}

func byID(at situation) []string { return []string{"{id}", at.id} }

func everyQuestion() (all []asked) {
	for _, page := range []string{"/v1/videos/{id}", "/v1/videos/{id}/events", "/watch/{id}", "/embed/{id}"} {
		all = append(all, get("see", page, byID))
	}
	all = append(all, get("playback", "/v1/videos/{id}/playback", byID), get("receipt", "/v1/receipts/{id}", byID))
	all = append(all, asked{row: "go on", pattern: "GET /upload", ask: func(s *site, who string, at situation) answer {
		return s.request(who, "GET", "/upload?video="+at.id, "")
	}})
	for _, c := range video.Commands {
		pattern := "POST /v1/videos/{id}/" + string(c)
		if c == video.Delete {
			pattern = "DELETE /v1/videos/{id}"
		}
		all = append(all, asked{string(c), pattern, true, func(s *site, who string, at situation) answer {
			method, address, _ := strings.Cut(strings.ReplaceAll(pattern, "{id}", at.id), " ")
			return s.request(who, method, address, "")
		}})
	}
	for method, body := range map[string]string{"PUT": someVTT, "DELETE": ""} {
		all = append(all, asked{"captions", method + " /v1/videos/{id}/captions/{language}", true, func(s *site, who string, at situation) answer {
			return s.request(who, method, "/v1/videos/"+at.id+"/captions/en", body, "Content-Type", "text/vtt")
		}})
	}
	for _, media := range []string{"{playlist}", "captions/{name}", "previews.vtt", "key/{rendition}/{n}", "poster.jpg", "preview/{name}", "source"} {
		for row, token := range map[string]func(situation) string{
			"anyone's":   func(at situation) string { return at.anyone },
			"reviewer's": func(at situation) string { return at.reviewer },
			"insider's":  func(at situation) string { return at.insider },
			"forged":     func(at situation) string { return at.another },
		} {
			all = append(all, get(row, "/play/{id}/{token}/"+media, func(at situation) []string {
				return []string{"{id}", at.id, "{token}", token(at), "{playlist}", "master.m3u8", "{rendition}", "720p", "{n}", "0", "captions/{name}", "captions/en.vtt", "{name}", "0.jpg"}
			}))
		}
	}
	all = append(all, get("segment", "/media/{id}/{rendition}/{name}", func(at situation) []string {
		return []string{"{id}", at.id, "{rendition}", "720p", "{name}", at.segment}
	}))
	return append(append(listQuestions(), all...), uploadQuestions()...) // lists first, while they are short
}

func uploadQuestions() []asked {
	const all, upload = "/v1/uploads/{$}", "/v1/uploads/{token}"
	return []asked{
		// First: whoever is told that an upload is gone is told so once more when
		// they begin again.
		{"announced", "POST " + all, false, func(s *site, who string, at situation) answer {
			return s.request(who, "POST", "/v1/uploads/", "", "Tus-Resumable", "1.0.0", "Upload-Length", "1000", "Upload-Metadata", metadata("video_id", at.id))
		}},
		{"head", "HEAD " + upload, false, func(s *site, who string, at situation) answer { return s.tus(who, "HEAD", at.upload, "") }},
		{"send", "PATCH " + upload, true, func(s *site, who string, at situation) answer {
			return s.tus(who, "PATCH", at.upload, "x", "Upload-Offset", "0")
		}},
		{"send", "POST " + upload, true, func(s *site, who string, at situation) answer {
			return s.tus(who, "POST", at.upload, "x", "Upload-Offset", "0", "X-HTTP-Method-Override", "PATCH")
		}},
		{"terminate", "POST " + upload, true, func(s *site, who string, at situation) answer {
			return s.tus(who, "POST", at.upload, "", "X-HTTP-Method-Override", "DELETE")
		}},
		{"terminate", "DELETE " + upload, true, func(s *site, who string, at situation) answer { return s.tus(who, "DELETE", at.upload, "") }},
	}
}

// listQuestions turn what a list shows into an answer about one video.
func listQuestions() (all []asked) {
	for address, row := range map[string]string{
		"/v1/me/videos": "my list", "/v1/me/drafts": "my drafts", "/videos": "list page", "/drafts": "draft page", "/v1/users/{user}/videos": "profile", "/{at}": "profile",
	} {
		all = append(all, asked{row, "GET " + address, false, func(s *site, who string, at situation) answer {
			got := s.request(who, "GET", strings.NewReplacer("{user}", "owner", "{at}", "@owner").Replace(address), "")
			if got.status == 200 && !strings.Contains(string(got.body), at.id) {
				got.status = 0
			}
			return got
		}})
	}
	return all
}

// openRoutes are about no video: each is asked by everybody, and the status is
// that for nobody and for those who are signed in.
var openRoutes = map[string][2]int{
	"GET /openapi.json": {200, 200}, "GET /openapi-3.0.json": {200, 200}, "GET /openapi.yaml": {200, 200}, "GET /openapi-3.0.yaml": {200, 200},
	"GET /healthz": {200, 200}, "GET /readyz": {200, 200}, "GET /metrics": {404, 404}, "GET /assets/page.css": {200, 200}, "GET /assets/none": {404, 404},
	"GET /v1/receipts/key": {200, 200},
	"GET /":                {200, 200}, "GET /docs": {200, 200}, "GET /signin": {200, 200}, "GET /signin/callback": {404, 404},
	"GET /v1/events": {400, 400}, "POST /v1/videos": {401, 201}, "POST /v1/uploads": {412, 412}, // without a word of tus
	"OPTIONS /v1/uploads": {200, 200}, "OPTIONS /v1/uploads/{$}": {200, 200}, "OPTIONS /v1/uploads/{token}": {200, 200},
	"POST /signout": {403, 403}, // from no page of ours
}

func statusOf(letter byte) []int {
	return map[byte][]int{
		'o': {200, 201, 202, 204}, 's': {303}, 'w': {303}, 'u': {401}, 'f': {403}, 'n': {404}, 'c': {409}, 'g': {410}, 'l': {423}, '-': {0},
	}[letter]
}

func TestEveryRouteForEverybody(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.Trim(matrix, "\n"), "\n")
	columns := strings.Fields(lines[0])
	cells := map[string][]string{}
	for _, line := range lines[1:] {
		cells[strings.TrimSpace(line[:12])] = strings.Fields(line[12:])
	}
	for i, column := range columns {
		if testing.Short() && i%8 != 0 {
			continue // all of them are a minute's work
		}
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			watched := s.situation(column, true, true)
			for _, q := range everyQuestion() {
				s.matches(q, column, cells[q.row][i], watched)
			}
		})
	}
}

// matches asks as everybody and compares with a cell.
func (s *site) matches(q asked, column, cell string, at situation) {
	s.t.Helper()
	if cell == "....." {
		return
	}
	for i, who := range everybody {
		if q.row == "announced" || q.changes {
			at = s.situation(column, false, q.row == "terminate") // as it was before anybody asked
		}
		got := q.ask(s, who, at)
		if !slices.Contains(statusOf(cell[i]), got.status) {
			s.t.Errorf("%s (%s) of a video that is %s, as %q: %d, want %v: %.200s", q.pattern, q.row, column, who, got.status, statusOf(cell[i]), got.body)
		}
	}
}

func TestRoutesAboutNoVideo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for route, want := range openRoutes {
		method, address, _ := strings.Cut(strings.NewReplacer("{$}", "", "{token}", "none").Replace(route), " ")
		body := ""
		if route == "POST /v1/videos" {
			body = "{}"
		}
		for i, who := range everybody {
			if got := s.request(who, method, address, body); got.status != want[min(i, 1)] {
				t.Errorf("%s as %q: %d, want %d: %.200s", route, who, got.status, want[min(i, 1)], got.body)
			}
		}
	}
}

// A route that nobody has thought about lets in whoever it happens to.
func TestTheMatrixIsWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	registered := map[string]bool{}
	for _, pattern := range s.patterns {
		registered[pattern] = true
	}
	inMatrix := map[string]bool{"GET /assets/{name}": true, "GET /{$}": true}
	for _, q := range everyQuestion() {
		inMatrix[q.pattern] = true
	}
	for route := range openRoutes {
		if !strings.HasPrefix(route, "GET /assets/") && route != "GET /" {
			inMatrix[route] = true
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(registered)) {
		if !inMatrix[pattern] {
			t.Errorf("%s is not in the matrix: write down there who may what", pattern)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(inMatrix)) {
		if !registered[pattern] {
			t.Errorf("%s is in the matrix, but there is no such route", pattern)
		}
	}
}
