package receipts

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// addresses are where people found a video. The last two are those of its streams, which
// players kept: what stands for a token says nothing.
var addresses = []string{"/v1/videos/{id}", "/v1/videos/{id}/playback", "/watch/{id}", "/embed/{id}", "/play/{id}/x/master.m3u8", "/media/{id}/720p/x.ts"}

// askPatience bounds all questions of one validation together.
const askPatience = 5 * time.Second

// Gateway is a gateway as people reach it, asked without credentials.
type Gateway struct {
	Address string       // as https://reels.example
	Client  *http.Client // nil: one of its own, without cookies
}

// Validate asks for an erased video at all of its addresses. It passes where each answers 410
// Gone (RFC 9110, section 15.5.11), is not made where one can't be reached or
// can't answer, and else has failed. It takes some seconds at most and changes nothing.
func (g Gateway) Validate(ctx context.Context, id video.ID) video.Validation {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	v := video.Validation{Result: video.ValidationPassed, Address: strings.TrimSuffix(g.Address, "/"), Checks: []video.Check{}}
	for _, path := range addresses {
		status, err := g.ask(ctx, v.Address+strings.Replace(path, "{id}", string(id), 1))
		if err != nil || status >= 500 || status == http.StatusTooManyRequests { // nobody has answered for the video
			v.Result, v.Why = video.ValidationNotMade, "The address could not be reached, or could not answer."
			return v
		}
		check := video.Check{What: "GET " + path, Answer: fmt.Sprintf("%d %s", status, http.StatusText(status)), Passed: status == http.StatusGone, At: time.Now().UTC()}
		if !check.Passed {
			v.Result, v.Why = video.ValidationFailed, "An address answers something else than 410 Gone."
		}
		v.Checks = append(v.Checks, check)
	}
	return v
}

func (g Gateway) ask(ctx context.Context, address string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{}
	if g.Client != nil {
		client = *g.Client
	}
	// What leads elsewhere is an answer, and not the one that is asked for.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if err == io.EOF {
		err = nil
	}
	return answer.StatusCode, err
}
