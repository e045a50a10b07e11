package telemetry

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/reelflow/reelflow/video"
)

// other stands for every value that is on no list.
const other = "other"

// result is the label of how something ended: ok, canceled, or the code of the error.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	}
	if code := video.CodeOf(err); slices.Contains(video.Codes, code) {
		return string(code)
	}
	return other
}

func decimal(n int) string { return strconv.Itoa(n) }
