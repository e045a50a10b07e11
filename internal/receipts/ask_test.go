package receipts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/reelflow/reelflow/video"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	id := video.NewID()
	alive := "" // the path that answers otherwise
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.Contains(r.URL.Path, string(id)) || r.Header.Get("Authorization")+r.Header.Get("Cookie") != "":
			w.WriteHeader(http.StatusTeapot)
		case r.URL.Path == alive:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		default:
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer server.Close()
	gateway := Gateway{Address: server.URL + "/"}
	v := gateway.Validate(t.Context(), id)
	if v.Result != video.ValidationPassed || len(v.Checks) != len(addresses) {
		t.Errorf("%+v", v)
	}
	if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), string(id)) {
		t.Errorf("a validation names the video: %s", text)
	}
	alive = "/watch/" + string(id)
	for _, status = range []int{http.StatusOK, http.StatusNotFound, http.StatusFound} {
		if v := gateway.Validate(t.Context(), id); v.Result != video.ValidationFailed || v.Checks[2].Passed || !v.Checks[3].Passed {
			t.Errorf("%d: %+v", status, v)
		}
	}
	for _, status = range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable} {
		if v := gateway.Validate(t.Context(), id); v.Result != video.ValidationNotMade || v.Why == "" {
			t.Errorf("%d: %+v", status, v)
		}
	}
	server.Close()
	if v := gateway.Validate(t.Context(), id); v.Result != video.ValidationNotMade || v.Why == "" {
		t.Errorf("%+v", v)
	}
}
