package captions

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	arrow         = "-->"
	exampleTiming = "00:00:01.000 --> 00:00:04.000"
)

// times are as WebVTT has them, and as SubRip does: with a comma. Hours may be missing.
var times = regexp.MustCompile(`^(?:(\d{1,2}):)?(\d{1,2}):(\d{2})[.,](\d{3})$`)

// timingOf reads a line of times and settings. Its error continues a sentence about the line.
func timingOf(line string) (c cue, err error) {
	before, after, _ := strings.Cut(line, arrow)
	rest := strings.Fields(after)
	if len(rest) == 0 {
		return c, errNoTiming
	}
	var ok, alsoOK bool
	c.start, ok = parseTime(strings.Trim(before, " \t"))
	c.end, alsoOK = parseTime(rest[0])
	if !ok || !alsoOK {
		return c, errNoTiming
	}
	if c.end <= c.start {
		return c, fmt.Errorf("ends at %s, which is not after its beginning at %s", timestamp(c.end), timestamp(c.start))
	}
	for _, setting := range rest[1:] {
		if isSetting(setting) {
			c.settings = append(c.settings, setting)
		}
	}
	return c, nil
}

var errNoTiming = errors.New(`has no times that can be read; they are written as in "` + exampleTiming + `", with a comma instead of the point in SRT`)

func parseTime(text string) (time.Duration, bool) {
	parts := times.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	number := func(digits string) time.Duration {
		n, _ := strconv.Atoi(digits) // three digits at most, or none for missing hours
		return time.Duration(n)
	}
	if number(parts[2]) > 59 || number(parts[3]) > 59 {
		return 0, false
	}
	return number(parts[1])*time.Hour + number(parts[2])*time.Minute + number(parts[3])*time.Second + number(parts[4])*time.Millisecond, true
}

func timestamp(t time.Duration) string {
	ms := t.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// settings of a cue: where it stands (WebVTT, section 4.4). Those of regions, which are
// left out, and of other formats go; section 6.3 passes over them, too.
var settings = regexp.MustCompile(`^(?:vertical:(?:rl|lr)` +
	`|line:(?:-?\d{1,3}|\d{1,3}(?:\.\d{1,4})?%)(?:,(?:start|center|end))?` +
	`|position:\d{1,3}(?:\.\d{1,4})?%(?:,(?:line-left|center|line-right))?` +
	`|size:\d{1,3}(?:\.\d{1,4})?%` +
	`|align:(?:start|center|end|left|right))$`)

func isSetting(text string) bool { return settings.MatchString(text) }
