package gateway

import (
	"bytes"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

// browse asks for a page as a browser does that somebody is signed in with.
func (s *site) browse(as, path string) answer {
	s.t.Helper()
	headers := []string{"Accept", "text/html"}
	if as != "" {
		session := s.session(as)
		headers = append(headers, "Cookie", session)
	}
	return s.request("", "GET", path, "", headers...)
}

var ownPages = []string{"/upload", "/videos", "/drafts"}

func TestOwnPagesLeadToSignInAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := string(s.in(video.Uploading, "public"))
	for _, page := range append(slices.Clone(ownPages), "/upload?video="+id, "/videos?stage=published") {
		got := s.browse("", page)
		if want := "/signin?next=" + url.QueryEscape(page); got.status != http.StatusSeeOther || got.header.Get("Location") != want {
			t.Errorf("%s answers nobody with %d and leads to %q, want %q", page, got.status, got.header.Get("Location"), want)
		}
		if strings.Contains(string(got.body), id) && !strings.Contains(page, id) {
			t.Errorf("%s shows nobody a video", page)
		}
	}
}

// What a page shows is one person's: nobody may keep it, and nothing in it comes from elsewhere.
func TestOwnPagesAreNotKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, page := range ownPages {
		got := s.browse("owner", page)
		if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, Cache-Control %q", page, got.status, got.header.Get("Cache-Control"))
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") || !strings.HasSuffix(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", page, csp)
		}
		for _, inline := range []string{" style=", "<style", "onclick=", "<script>", `src="http`} {
			if strings.Contains(string(got.body), inline) {
				t.Errorf("%s has %s in it", page, inline)
			}
		}
		for _, link := range ownPages {
			if !strings.Contains(string(got.body), `<a href="`+link+`"`) {
				t.Errorf("%s does not lead to %s", page, link)
			}
		}
	}
}

func TestOwnPagesShowTheirOwnOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	published, draft := string(s.in(video.Published, "public")), string(s.in(video.Draft, "public"))
	for _, who := range []string{"somebody", people.OperatorName} {
		for _, page := range ownPages {
			body := string(s.browse(who, page).body)
			if strings.Contains(body, published) || strings.Contains(body, draft) || strings.Contains(body, "Waves") {
				t.Errorf("%s shows %s the videos of another", page, who)
			}
		}
	}
	for page, want := range map[string][2]bool{
		"/videos": {true, true}, "/videos?stage=published": {true, false}, "/videos?stage=draft": {false, true}, "/drafts": {false, true},
		"/videos?stage=uploading": {false, false},
	} {
		body := string(s.browse("owner", page).body)
		if got := [2]bool{strings.Contains(body, published), strings.Contains(body, draft)}; got != want {
			t.Errorf("%s shows the published one and the draft: %v, want %v", page, got, want)
		}
	}
	if got := s.browse("owner", "/videos?stage=nonsense"); got.status != http.StatusNotFound {
		t.Errorf("a stage that there isn't: %d", got.status)
	}
}

func TestListsOfManyGoOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const many = 25
	for range many {
		s.made("owner", `{"title":"Waves"}`)
	}
	seen, page := 0, "/videos?stage=uploading"
	for range 3 {
		body := string(s.browse("owner", page).body)
		seen += strings.Count(body, `href="/upload?video=`)
		_, more, ok := strings.Cut(body, `href="/videos?cursor=`)
		if !ok {
			break
		}
		more, _, _ = strings.Cut(more, `"`)
		page = "/videos?cursor=" + strings.ReplaceAll(more, "&amp;", "&")
	}
	if seen != many {
		t.Errorf("the pages show %d of %d", seen, many)
	}
	if !strings.Contains(page, "stage=uploading") {
		t.Errorf("the next page is another list: %s", page)
	}
}

func TestUploadPageKnowsTheLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if body := string(s.browse("owner", "/upload").body); !strings.Contains(body, `data-max-bytes="1048576"`) || !strings.Contains(body, "1.0 MB") {
		t.Error("the page does not say how large a file may be")
	}
}

// An upload is gone on with by its owner, for as long as bytes are missing.
func TestUploadPageGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.made("owner", `{"title":"Waves","source":{"size":10}}`)
	page := "/upload?video=" + string(v.ID)
	if got := s.browse("owner", page); got.status != http.StatusOK || !strings.Contains(string(got.body), `data-video="`+string(v.ID)+`"`) {
		t.Errorf("its owner is answered %d", got.status)
	}
	if got := s.browse("somebody", page); got.status != http.StatusNotFound {
		t.Errorf("somebody else is answered %d", got.status)
	}
	if got := s.tus("", "PATCH", *v.Upload.URL, "0123456789", "Upload-Offset", "0"); got.status != http.StatusNoContent {
		t.Fatalf("%d", got.status)
	}
	if got := s.browse("owner", page); got.header.Get("Location") != "/watch/"+string(v.ID) {
		t.Errorf("with every byte stored the page leads to %q", got.header.Get("Location"))
	}
}

// The pictures of one's own videos show in every stage in which they can be watched.
func TestOwnListsShowPosters(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	posters := map[video.ID][]byte{}
	for _, id := range []video.ID{s.in(video.Published, "private"), s.in(video.Reviewing, "public"), s.in(video.Scheduled, "public"), s.in(video.Published, "public")} {
		posters[id] = s.packaged(id).poster
	}
	for _, list := range []string{"/videos", "/@owner"} {
		page := string(s.browse("owner", list).body)
		shown := regexp.MustCompile(`/play/([a-z2-7]{26})/[^"]*/poster.jpg`).FindAllStringSubmatch(page, -1)
		if want := map[string]int{"/videos": 4, "/@owner": 1}[list]; len(shown) != want {
			t.Errorf("%s: %d posters, want %d", list, len(shown), want)
		}
		for _, match := range shown {
			if got := s.request("", "GET", match[0], ""); got.status != 200 || !bytes.Equal(got.body, posters[video.ID(match[1])]) {
				t.Errorf("%s: %d %s", match[0], got.status, got.body)
			}
		}
	}
}

// Whoever follows a link that is not for everybody comes back to it by signing in.
func TestSigningInLeadsBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	private := "/watch/" + string(s.in(video.Published, "private"))
	for page, back := range map[string]string{private: private, "/@owner?cursor=": "/@owner?cursor=", "/": "", "/signin": ""} {
		got := s.browse("", page)
		link := regexp.MustCompile(`<a href="(/signin[^"]*)">Sign in</a>`).FindStringSubmatch(string(got.body))
		if link == nil {
			t.Fatalf("%s: no link to sign in: %s", page, got.body)
		}
		to, err := url.Parse(html.UnescapeString(link[1]))
		if err != nil || to.Query().Get("next") != back {
			t.Errorf("%s: %s leads back to %q, want %q", page, link[1], to.Query().Get("next"), back)
		}
	}
}

// A dead end shows inside the frames of other sites as well, where no other page does.
func TestDeadEndsOfEmbeds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for path, status := range map[string]int{
		"/embed/" + string(s.in(video.Published, "public")):  200,
		"/embed/" + string(s.in(video.Published, "private")): 404,
		"/embed/" + string(s.in(video.Purged, "public")):     410,
		"/watch/" + string(s.in(video.Purged, "public")):     410,
	} {
		got := s.browse("", path)
		framed := strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors *")
		if embed := strings.HasPrefix(path, "/embed/"); got.status != status || framed != embed || embed && strings.Contains(string(got.body), "<nav") {
			t.Errorf("%s: %d, framed %v", path, got.status, framed)
		}
		if status == 410 && !strings.Contains(string(got.body), "This video was deleted") {
			t.Errorf("%s does not say so: %s", path, got.body)
		}
	}
}
