package gateway

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/reelflow/reelflow/internal/gateway/creation"
	"github.com/reelflow/reelflow/internal/gateway/uploads"
	"github.com/reelflow/reelflow/video"
)

// metadataParser turns the Upload-Metadata of a tus client into what POST /v1/videos takes,
// by the same names, and checks it against the same schema.
type metadataParser struct {
	registry huma.Registry
	schema   *huma.Schema
}

func newMetadataParser() metadataParser {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return metadataParser{registry, registry.Schema(reflect.TypeFor[creation.NewVideo](), false, "NewVideo")}
}

// ofVideo are the keys that say something of the video, with the form of their values.
var ofVideo = map[string]func(string) any{
	"title": asText, "caption": asText, "music": asText, "visibility": asText, "publish_at": asText,
	"hashtags": asList, "reviewers": asList, "publish_delay": asDelay,
	"review": asFlag, "keep_draft": asFlag, "allow_download": asFlag, "protect": asFlag,
}

// ofFile are the fields of NewVideo.Source with the keys that say them, of which the first
// one counts: our own, then what common clients send beside or instead of it
// (docs/decisions/0018-metadata-of-tus-clients.md).
var ofFile = map[string][]string{
	"filename":     {"filename", "name"},
	"content_type": {"filetype", "content_type", "type"},
	"sha256":       {"sha256"},
}

// ignoredKeys are sent by common clients with every file, and say nothing of a video.
var ignoredKeys = []string{"relativePath"}

func saysOfFile(key string) bool {
	for _, keys := range ofFile {
		if slices.Contains(keys, key) {
			return true
		}
	}
	return slices.Contains(ignoredKeys, key)
}

func asText(value string) any { return value }

// asFlag leaves what is neither true nor false to the schema, which refuses it.
func asFlag(value string) any {
	switch value {
	case "true":
		return true
	case "false":
		return false
	}
	return value
}

func asList(value string) any {
	items := []any{}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// asDelay is a duration such as 10m, or a number of seconds.
func asDelay(value string) any {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return value
	}
	return seconds
}

// parse fails with Invalid, naming the keys, for what isn't known or can't be used.
func (p metadataParser) parse(metadata map[string]string) (creation.NewVideo, error) {
	said, source, wrong := map[string]any{}, map[string]any{}, map[string]string{}
	for key, value := range metadata {
		if form, known := ofVideo[key]; !utf8.ValidString(value) {
			wrong[key] = "it is not text in UTF-8"
		} else if known {
			said[key] = form(value)
		} else if !saysOfFile(key) {
			wrong[key] = "it is not known"
		}
	}
	for field, keys := range ofFile {
		for _, key := range slices.Backward(keys) {
			if value, given := metadata[key]; given {
				source[field] = value
			}
		}
	}
	said["source"] = source
	p.validate(said, wrong)
	if len(wrong) > 0 {
		return creation.NewVideo{}, uploads.BadMetadata(wrong)
	}
	var n creation.NewVideo
	encoded, err := json.Marshal(said)
	if err == nil {
		err = json.Unmarshal(encoded, &n)
	}
	if err != nil {
		return creation.NewVideo{}, video.Errorf(video.Invalid, "The Upload-Metadata can't be read.").Because(err)
	}
	return n, nil
}

// validate notes what the schema of POST /v1/videos refuses, by its key.
func (p metadataParser) validate(said map[string]any, wrong map[string]string) {
	var found huma.ValidateResult
	huma.Validate(p.registry, p.schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeWriteToServer, said, &found)
	for _, err := range found.Errors {
		detail, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		d := detail.ErrorDetail()
		key := strings.TrimPrefix(d.Location, "source.")
		key, _, _ = strings.Cut(key, "[")
		if key == "content_type" {
			key = "filetype"
		}
		wrong[key] = d.Message
	}
}

// checkAnnounced refuses what would change a video that was described when it was announced:
// only what says something of the file may stand beside video_id.
func checkAnnounced(metadata map[string]string) error {
	wrong := map[string]string{}
	for key := range metadata {
		if _, known := ofVideo[key]; known || key == "sha256" {
			wrong[key] = "video_id names a video that was described when it was announced"
		} else if key != "video_id" && !saysOfFile(key) {
			wrong[key] = "it is not known"
		}
	}
	if len(wrong) > 0 {
		return uploads.BadMetadata(wrong)
	}
	return nil
}
