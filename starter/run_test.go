package main

import (
	"testing"

	"github.com/reelflow/reelflow/internal/config"
)

func TestTheNextStepWorksWithTheSettings(t *testing.T) {
	const gateway = "http://127.0.0.1:8080"
	for _, row := range []struct {
		settings config.Config
		want     string
	}{
		{config.Config{Auth: "dev", URL: gateway},
			"open http://127.0.0.1:8080/signin?user=me&next=/upload, or in another terminal:  bin/starter upload FILE"},
		{config.Config{Auth: "dev", URL: "http://elsewhere"},
			"open http://127.0.0.1:8080/signin?user=me&next=/upload, or in another terminal:  REELFLOW_URL=http://127.0.0.1:8080 bin/starter upload FILE"},
		{config.Config{Auth: "https://issuer.example", URL: gateway},
			"open http://127.0.0.1:8080/upload, or in another terminal:  REELFLOW_TOKEN=… bin/starter upload FILE"},
	} {
		if got := nextStep(&row.settings, gateway); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}
