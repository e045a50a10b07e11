package uploads

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/video"
)

// mostMetadata is how many bytes an Upload-Metadata may have, encoded as it is sent.
const mostMetadata = 4 << 10

// parseMetadata reads the header, sent once or in parts:
// https://tus.io/protocols/resumable-upload#upload-metadata. It fails with Invalid, naming
// the key, where tusd would drop what it can't read. What the keys mean is the host's affair.
func parseMetadata(sent []string) (map[string]string, error) {
	header := strings.Join(sent, ",")
	if len(header) > mostMetadata {
		return nil, video.Errorf(video.Invalid, "Upload-Metadata has %d bytes; at most %d are allowed.", len(header), mostMetadata)
	}
	metadata := map[string]string{}
	for pair := range strings.SplitSeq(header, ",") {
		words := strings.Fields(pair)
		if len(words) == 0 {
			continue
		}
		key, value := words[0], ""
		if _, twice := metadata[key]; twice {
			return nil, BadMetadata(map[string]string{key: "it is there twice"})
		}
		if len(words) > 1 {
			plain, err := base64.StdEncoding.DecodeString(words[1])
			if err != nil || len(words) > 2 {
				return nil, BadMetadata(map[string]string{key: "its value is not Base64"})
			}
			value = string(plain)
		}
		metadata[key] = value
	}
	return metadata, nil
}

// BadMetadata is the refusal of an Upload-Metadata: why, for each key that can't be used.
func BadMetadata(why map[string]string) error {
	p := problem.New(video.Invalid, "")
	var said []string
	for _, key := range slices.Sorted(maps.Keys(why)) {
		shown := fmt.Sprintf("%.64s", strings.ToValidUTF8(key, "?"))
		p.Errors = append(p.Errors, problem.Field{Location: "Upload-Metadata." + shown, Message: why[key]})
		said = append(said, fmt.Sprintf("%q: %s", shown, why[key]))
	}
	p.Detail = "The Upload-Metadata can't be used. " + strings.Join(said, "; ") + "."
	return p
}
