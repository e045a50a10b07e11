package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	body := fmt.Sprintf(`{"title":"Waves","caption":"at #sea","hashtags":["#sea","sun"],"music":"Debussy","visibility":"unlisted",
		"publish_at":%q,"publish_delay":"90s","review":true,"reviewers":["reviewer"],"keep_draft":true,"allow_download":true,
		"source":{"size":1000,"filename":"waves.mp4","content_type":"video/mp4","sha256":"%064x"}}`, at.Format(time.RFC3339), 7)
	got := s.request("owner", "POST", "/v1/videos", body)
	v := s.video(got, http.StatusCreated)
	if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(string(v.ID)) || got.header.Get("Location") != v.Links.Self {
		t.Errorf("id %q, Location %q", v.ID, got.header.Get("Location"))
	}
	if v.Owner != "owner" || v.Stage != video.Uploading || v.Title != "Waves" || v.Caption != "at #sea" || v.Music != "Debussy" ||
		!slices.Equal(v.Hashtags, []string{"sea", "sun"}) || v.Visibility != "unlisted" || !v.PublishAt.Equal(at) || !v.AllowDownload || !v.Review || !v.KeepDraft {
		t.Errorf("%s", got.body)
	}
	if v.Upload == nil || !strings.HasPrefix(*v.Upload.URL, s.url+"/v1/uploads/") || strings.Contains(*v.Upload.URL, string(v.ID)) || *v.Upload.Length != 1000 {
		t.Errorf("upload %+v", v.Upload)
	}
	in, started := s.lives.input(v.ID)
	if !started || in.Policy.PublishDelay != 90*time.Second || !in.Review || !in.KeepDraft || !in.PublishAt.Equal(at) ||
		in.Primary != "primary" || !slices.Equal(in.Backups, []string{"backup-a"}) {
		t.Errorf("the workflow was told %+v", in)
	}
	told, err := json.Marshal(in)
	if err != nil || strings.Contains(string(told), "Waves") || strings.Contains(string(told), "owner\"") && strings.Contains(string(told), `:"owner"`) {
		t.Errorf("the workflow was told a name: %s", told)
	}
	row, err := s.catalog.Video(t.Context(), v.ID)
	if err != nil || strings.Contains(string(row.Sealed), "Waves") || row.Owner == "owner" {
		t.Errorf("the row is not sealed: %v %+v", err, row)
	}
}

func TestTheShapeIsWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	for _, who := range []string{"", "owner"} {
		var shape map[string]any
		if err := json.Unmarshal(s.request(who, "GET", "/v1/videos/"+string(id), "").body, &shape); err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(`id owner stage paused ending visible title caption hashtags music visibility counts created_at
			published_at publish_at deleted_at purge_at progress upload media renditions captions replicas warnings failure actions links`) {
			if _, there := shape[name]; !there {
				t.Errorf("as %q: no %s", who, name)
			}
		}
		for _, name := range []string{"hashtags", "renditions", "captions", "replicas", "warnings", "actions"} {
			if _, isList := shape[name].([]any); !isList {
				t.Errorf("as %q: %s is %v", who, name, shape[name])
			}
		}
	}
	s.packaged(id)
	v := s.video(s.request("", "GET", "/v1/videos/"+string(id), ""), 200)
	if v.Media == nil || v.Media.FrameRate != 29.97 || len(v.Renditions) != 2 || !v.Visible || v.Upload != nil || len(v.Actions) != 0 {
		t.Errorf("%+v", v)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for body, want := range map[string]struct {
		code video.Code
		says string
	}{
		`{"titel":"x"}`:                                      {video.Invalid, "titel"},
		`{"source":{"size":1,"sice":2}}`:                     {video.Invalid, "sice"},
		`{"title":7}`:                                        {video.Invalid, "title"},
		`{"title":`:                                          {video.Invalid, ""},
		`[]`:                                                 {video.Invalid, ""},
		`{"visibility":"secret"}`:                            {video.Invalid, "visibility"},
		`{"publish_at":"soon"}`:                              {video.Invalid, "publish_at"},
		`{"publish_delay":"later"}`:                          {video.Invalid, "publish_delay"},
		`{"protect":true}`:                                   {video.Invalid, "protect"},
		`{"publish_delay":-1}`:                               {video.Invalid, "publish_delay"},
		`{"hashtags":["two words"]}`:                         {video.Invalid, "hashtags"},
		`{"reviewers":["a/b"]}`:                              {video.Invalid, "reviewers"},
		`{"title":"\u0007"}`:                                 {video.Invalid, "a control character (U+0007)"},
		`{"title":"two\nlines"}`:                             {video.Invalid, `"title" is not valid: it must not contain a line break`},
		`{"title":"two\u2028lines"}`:                         {video.Invalid, "a line break"},
		`{"music":"a\u0085b"}`:                               {video.Invalid, "music"},
		`{"caption":"\u0000"}`:                               {video.Invalid, "caption"},
		`{"publish_at":"1970-01-01T00:00:00Z"}`:              {video.Invalid, "publish_at"},
		`{"reviewers":["ben"],"review":false}`:               {video.Invalid, "review"},
		`{"source":{"url":"ftp://example.org/"}}`:            {video.Invalid, "https://"},
		`{"source":{"url":"http://127.1/"}}`:                 {video.Invalid, "four decimal numbers"},
		`{"source":{"url":"http://10.0.0.1/a"}}`:             {video.Invalid, "public hosts"},
		`{"source":{"url":"http://localhost/"}}`:             {video.Invalid, "public hosts"},
		`{"source":{"url":"https://a:b@c.org/"}}`:            {video.Invalid, "password"},
		`{"source":{"sha256":"zz"}}`:                         {video.Invalid, "sha256"},
		`{"source":{"size":0}}`:                              {video.Invalid, "empty"},
		`{"source":{"size":1048577}}`:                        {video.TooLarge, "1048576"},
		`{"caption":"` + strings.Repeat("x", 300<<10) + `"}`: {video.TooLarge, ""},
	} {
		p := s.refusal(s.request("owner", "POST", "/v1/videos", body), want.code)
		if !strings.Contains(p.Detail, want.says) {
			t.Errorf("%.60s: %q does not say %q", body, p.Detail, want.says)
		}
	}
	for _, turning := range []rune("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") {
		for _, field := range []string{"title", "caption", "music"} {
			p := s.refusal(s.request("owner", "POST", "/v1/videos", fmt.Sprintf(`{%q:"gpj%cexe"}`, field, turning)), video.Invalid)
			if !strings.Contains(p.Detail, field) || !strings.Contains(p.Detail, fmt.Sprintf("%U", turning)) {
				t.Errorf("%s with %U: %s", field, turning, p.Detail)
			}
		}
	}
	if got := s.request("owner", "GET", "/v1/me/videos", ""); string(got.body) != `{"videos":[],"next_cursor":null}`+"\n" {
		t.Errorf("something was left behind: %s", got.body)
	}
	s.refusal(s.request("owner", "POST", "/v1/videos", "title=x", "Content-Type", "text/plain"), video.UnsupportedMedia)
	id := string(s.in(video.Uploading, "public"))
	s.refusal(s.request("owner", "POST", "/v1/videos/"+id+"/dance", ""), video.NotFound)
	s.refusal(s.request("owner", "POST", "/v1/videos/"+id+"/cancel", `{"keep":true}`), video.Invalid)
	s.refusal(s.request("owner", "GET", "/v1/me/videos?cursor=%21", ""), video.Invalid)
	s.refusal(s.request("owner", "GET", "/v1/me/videos?stage=asleep", ""), video.Invalid)
	s.refusal(s.request("owner", "GET", "/v1/nothing", ""), video.NotFound)
	if got := s.request("owner", "PUT", "/v1/videos", "{}"); got.status != 405 || got.header.Get("Allow") == "" {
		t.Errorf("PUT: %d %v", got.status, got.header)
	}
}

// What is no mistake is taken: text of any language, lines in a caption, a time that has
// just passed, and reviewers by themselves.
func TestWhatAuthorsMaySay(t *testing.T) {
	s := newSite(t)
	v := s.made("owner", fmt.Sprintf(`{"title":"مرحبا \u200fשלום 👩‍👩‍👧","caption":"one\r\n\ttwo\u2028three","publish_at":%q,"reviewers":["ben"]}`,
		time.Now().Add(-23*time.Hour).Format(time.RFC3339)))
	if !v.Review || v.Caption != "one\r\n\ttwo\u2028three" {
		t.Errorf("%+v", v)
	}
	if v := s.made("owner", `{"review":false}`); v.Review {
		t.Error("reviewed though nobody asked for it")
	}
}

// A parameter that no operation has would be passed over in silence.
func TestUnknownQueryParameters(t *testing.T) {
	s := newSite(t)
	id := string(s.in(video.Uploading, "public"))
	for _, row := range []struct{ method, address, name, takes string }{
		{"GET", "/v1/me/videos?stages=draft", "stages", "takes cursor, limit, stage."},
		{"GET", "/v1/me/videos?limit=5&Limit=5", "Limit", "takes cursor, limit, stage."},
		{"GET", "/v1/videos/" + id + "?fields=id", "fields", "takes none."},
		{"GET", "/v1/videos/" + id + "/events?id=" + id, "id", "takes none."},
		{"GET", "/v1/events?id=" + id + "&since=1", "since", "takes id."},
		{"POST", "/v1/videos?title=x", "title", "takes none."},
		{"POST", "/v1/videos/" + id + "/cancel?keep_draft=true", "keep_draft", "takes none."},
		{"DELETE", "/v1/videos/" + id + "?force", "force", "takes none."},
		{"GET", "/v1/receipts/" + id + "?" + strings.Repeat("x", 100), strings.Repeat("x", longestWord) + "…", "takes none."},
	} {
		p := s.refusal(s.request("owner", row.method, row.address, map[bool]string{true: "{}"}[row.method == "POST"]), video.Invalid)
		if !strings.Contains(p.Detail, strconv.Quote(row.name)) || !strings.HasSuffix(p.Detail, row.takes) || len(p.Errors) != 1 || p.Errors[0].Location != "query."+row.name {
			t.Errorf("%s %s: %+v", row.method, row.address, p)
		}
	}
	s.refusal(s.request("owner", "GET", "/v1/me/videos?stage=%zz", ""), video.Invalid)
	if v := s.video(s.request("owner", "GET", "/v1/videos/"+id, ""), 200); v.Stage != video.Uploading || v.Ending != nil {
		t.Errorf("a command that was refused has been obeyed: %+v", v)
	}
	for _, fine := range []string{"/watch/" + id + "?from=mail", "/?a=b"} { // links gain parameters on their way
		if got := s.request("owner", "GET", fine, ""); got.status != 200 {
			t.Errorf("%s: %d", fine, got.status)
		}
	}
}

// An answer has one Cache-Control: of two, some caches heed the first.
func TestOneCacheControl(t *testing.T) {
	s := newSite(t)
	id := string(s.in(video.Published, "public"))
	for _, row := range [][2]string{
		{"GET", "/v1/videos/" + id}, {"GET", "/v1/videos/none"}, {"GET", "/v1/videos/" + id + "?a=b"}, {"GET", "/v1/me/videos?limit=x"},
		{"POST", "/v1/videos/" + id + "/pause"}, {"POST", "/v1/videos/" + id + "/dance"}, {"GET", "/v1/nothing"}, {"PUT", "/v1/videos"},
		{"GET", "/v1/receipts/key"}, {"POST", "/v1/uploads/"}, {"HEAD", "/v1/uploads/none"}, {"GET", "/v1/events?id=" + id}, {"GET", "/watch/none"},
	} {
		got := s.request("owner", row[0], row[1], "")
		if all := got.header.Values("Cache-Control"); len(all) != 1 || all[0] != "no-store" {
			t.Errorf("%s %s: %d with Cache-Control %q", row[0], row[1], got.status, all)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	send := func(who, key, body string) answer {
		return s.request(who, "POST", "/v1/videos", body, "Idempotency-Key", key)
	}
	first := s.video(send("owner", "k1", `{"title":"a"}`), 201)
	if again := s.video(send("owner", "k1", `{"title":"a"}`), 201); again.ID != first.ID || *again.Upload.URL != *first.Upload.URL {
		t.Error("the same request made another video")
	}
	if other := s.video(send("other", "k1", `{"title":"a"}`), 201); other.ID == first.ID {
		t.Error("two people share a video")
	}
	s.refusal(send("owner", "k1", `{"title":"b"}`), video.Conflict)
	s.move(first.ID, video.Purged)
	s.refusal(send("owner", "k1", `{"title":"a"}`), video.Gone)
}

func TestReadsWorkWhileTemporalIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Uploading, "public")
	upload := *s.video(s.request("owner", "GET", "/v1/videos/"+string(id), ""), 200).Upload.URL
	s.lives.setDown(true)
	late := s.made("owner", `{"title":"late"}`)
	got := s.request("owner", "POST", "/v1/videos/"+string(id)+"/pause", "")
	s.refusal(got, video.Unavailable)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.video(s.request("owner", "GET", "/v1/videos/"+string(id), ""), 200)
	if head := s.request("", "HEAD", upload, "", "Tus-Resumable", "1.0.0"); head.status != 200 {
		t.Errorf("HEAD of the upload: %d", head.status)
	}
	if got := s.request("", "GET", "/readyz", ""); got.status != 200 || !strings.Contains(string(got.body), `"degraded":["temporal"]`) {
		t.Errorf("without Temporal: %d %s", got.status, got.body)
	}
	s.lives.setDown(false)
	time.Sleep(readinessKept)
	if got := s.request("", "GET", "/readyz", ""); got.status != 200 || strings.Contains(string(got.body), "degraded") {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, ok := s.lives.input(late.ID); ok {
			break
		}
		if time.Since(begun) > 15*time.Second {
			t.Fatal("nobody started the life of a video whose gateway could not")
		}
	}
	s.video(s.request("owner", "POST", "/v1/videos/"+string(late.ID)+"/pause", ""), 200)
}

func TestACommandStartsALifeThatACrashKeptBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lives.setDown(true)
	id := s.made("owner", `{}`).ID
	s.lives.setDown(false)
	if v := s.video(s.request("owner", "POST", "/v1/videos/"+string(id)+"/pause", ""), 200); !v.Paused {
		t.Error("not paused")
	}
}

func TestCommandsAnswerWithWhatTookHold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := string(s.in(video.Processing, "public"))
	do := func(c, body string) video.Video {
		return s.video(s.request("owner", "POST", "/v1/videos/"+id+"/"+c, body, "Idempotency-Key", c), 200)
	}
	if v := do("pause", ""); !v.Paused || !slices.Contains(v.Actions, video.Resume) {
		t.Errorf("%+v", v)
	}
	do("pause", "") // again
	if v := do("resume", "{}"); v.Paused {
		t.Error("not resumed")
	}
	if v := do("cancel", `{"keep_draft":true}`); v.Stage != video.Draft {
		t.Errorf("stage %s", v.Stage)
	}
	p := s.refusal(s.request(people.OperatorName, "POST", "/v1/videos/"+id+"/approve", ""), video.Conflict)
	if !strings.Contains(p.Detail, "draft") {
		t.Errorf("why? %q", p.Detail)
	}
	gone := s.video(s.request("owner", "DELETE", "/v1/videos/"+id, ""), http.StatusAccepted)
	if gone.Stage != video.Purging || *gone.Ending != video.ByDeletion || gone.Visible {
		t.Errorf("%+v", gone)
	}
	s.move(video.ID(id), video.Purged)
	s.refusal(s.request("owner", "DELETE", "/v1/videos/"+id, ""), video.Gone)
}

func TestLists(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	public := s.in(video.Published, "public")
	s.in(video.Published, "unlisted")
	s.in(video.Published, "private")
	s.in(video.PendingDeletion, "public")
	draft := s.in(video.Draft, "public")
	ids := func(who, path string) (ids []video.ID, next *string) {
		got := s.request(who, "GET", path, "")
		var l Videos
		if err := json.Unmarshal(got.body, &l); err != nil || got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for _, v := range l.Videos {
			ids = append(ids, v.ID)
		}
		return ids, l.NextCursor
	}
	if got, _ := ids("", "/v1/users/owner/videos"); !slices.Equal(got, []video.ID{public}) {
		t.Errorf("the profile shows %v", got)
	}
	if got, _ := ids("owner", "/v1/me/drafts"); !slices.Equal(got, []video.ID{draft}) {
		t.Errorf("drafts %v", got)
	}
	if got, _ := ids("owner", "/v1/me/videos?stage=published"); len(got) != 3 {
		t.Errorf("published %v", got)
	}
	if got, _ := ids("other", "/v1/me/videos"); len(got) != 0 {
		t.Errorf("somebody else's: %v", got)
	}
	all, next := ids("owner", "/v1/me/videos?limit=2")
	for next != nil {
		var more []video.ID
		more, next = ids("owner", "/v1/me/videos?limit=2&cursor="+*next)
		all = append(all, more...)
	}
	if len(all) != 5 || all[0] != draft {
		t.Errorf("all pages: %v", all)
	}
	page := s.request("", "GET", "/@owner", "")
	if !strings.Contains(string(page.body), string(public)) || strings.Count(string(page.body), "/watch/") != 1 {
		t.Errorf("profile page: %s", page.body)
	}
}

// The documents are made at the first request: several may be the first.
func TestOpenAPIForManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml"} {
		answers := make([]answer, 4)
		var asking sync.WaitGroup
		for i := range answers {
			asking.Go(func() { answers[i] = s.request("", "GET", path, "") })
		}
		asking.Wait()
		for _, a := range answers {
			if a.status != http.StatusOK || len(a.body) < 1000 || !bytes.Equal(a.body, answers[0].body) {
				t.Errorf("%s: status %d with %d bytes", path, a.status, len(a.body))
			}
		}
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	got := s.request("", "GET", "/openapi.json", "")
	var document struct {
		OpenAPI    string
		Paths      map[string]map[string]huma.Operation
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(got.body, &document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Fatalf("%q %v", document.OpenAPI, err)
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(got.body), -1) {
		if name, ok := strings.CutPrefix(ref[1], "#/components/schemas/"); !ok || document.Components.Schemas[name] == nil {
			t.Errorf("%s leads nowhere", ref[1])
		}
	}
	ids := map[string]bool{}
	for path, methods := range document.Paths {
		for method, op := range methods {
			if op.OperationID == "" || ids[op.OperationID] || len(op.Responses) == 0 {
				t.Errorf("%s %s: id %q, %d answers", method, path, op.OperationID, len(op.Responses))
			}
			ids[op.OperationID] = true
			for _, status := range []string{"429", "503"} {
				if r := op.Responses[status]; r == nil || r.Headers["Retry-After"] == nil {
					t.Errorf("%s %s: when to come again after %s is not described", method, path, status)
				}
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == name[1] && p.In == "path" }) {
					t.Errorf("%s %s: the parameter %s is not described", method, path, name[1])
				}
			}
		}
	}
	for _, path := range []string{"/v1/videos", "/v1/videos/{id}/events", "/v1/videos/{id}/playback", "/v1/uploads/", "/v1/me/videos", "/v1/receipts/{id}"} {
		if document.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	if strings.Contains(string(got.body), "422") {
		t.Error("the document promises a 422")
	}
	docs := s.request("", "GET", "/docs", "")
	if docs.status != 200 || !strings.Contains(string(docs.body), "/v1/videos/{id}/playback") || regexp.MustCompile(`src="(https?:)?//|<link[^>]+href="(https?:)?//`).Match(docs.body) {
		t.Errorf("docs: %d %.300s", docs.status, docs.body)
	}
}

func TestPanicsTellNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(http.ResponseWriter, *http.Request) { panic("secret insides") })
	s.Gateway.log = discard()
	w := record(s.withRecovery(s.withNotFound(mux)), "/x")
	s.refusal(answer{w.Code, w.Header(), w.Body.Bytes()}, video.Internal)
	if strings.Contains(w.Body.String(), "secret") {
		t.Error(w.Body.String())
	}
}

func TestCrossOriginProgramsMayUseTokens(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, func(s *Settings) { s.DevAnywhere = true })
	got := s.request("", "OPTIONS", "/v1/videos", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func TestTheKeyDiesBeforeTheRow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.in(video.Published, "public")
	if _, err := s.vault.Destroy(t.Context(), vault.Intent{ID: id, Reason: "deleted"}); err != nil {
		t.Fatal(err)
	}
	if v := s.video(s.request("owner", "GET", "/v1/videos/"+string(id), ""), 200); v.Title != "" || v.Owner != "owner" {
		t.Errorf("%q by %q", v.Title, v.Owner)
	}
}

func TestACommandMayTakeItsTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := string(s.in(video.Processing, "public"))
	s.lives.slow = 6 * time.Second // longer than a body may take to arrive
	if v := s.video(s.request("owner", "POST", "/v1/videos/"+id+"/pause", "{}"), 200); !v.Paused {
		t.Error("not paused")
	}
}
