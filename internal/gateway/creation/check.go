package creation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/gateway/about"
	"github.com/reelflow/reelflow/internal/gateway/people"
	"github.com/reelflow/reelflow/video"
)

const (
	maxDelay = 366 * 24 * time.Hour
	// maxPast is how long ago publish_at may be: a clock that is off, or a request that is
	// repeated, is no mistake; a year 1970 is.
	maxPast = 24 * time.Hour
)

// draftOf refuses what can't be, naming the field, and turns the request into a draft.
func (c *Creator) draftOf(n NewVideo, owner people.Person) (draft, error) {
	d := draft{length: -1}
	d.row = catalog.Video{
		Owner: c.ownerID(owner.Name), Visibility: n.Visibility, AllowDownload: n.AllowDownload,
		KeepDraft: n.KeepDraft, Review: len(n.Reviewers) > 0 || n.Review != nil && *n.Review, Stage: video.Uploading,
	}
	d.about = about.Video{Owner: owner.Name, Title: n.Title, Caption: n.Caption, Music: n.Music, Reviewers: n.Reviewers}
	if n.Visibility == "" {
		d.row.Visibility = string(video.Public)
	} else if !slices.Contains([]string{string(video.Public), string(video.Unlisted), string(video.Private)}, n.Visibility) {
		return draft{}, invalid("visibility", "it must be public, unlisted or private")
	}
	if n.Protect {
		return draft{}, invalid("protect", "copies that others upload can't be caught yet; leave it out")
	}
	if err := setTimes(n, &d.row); err != nil {
		return draft{}, err
	}
	if err := checkReviewers(n); err != nil {
		return draft{}, err
	}
	var err error
	if d.about.Hashtags, err = checkHashtags(n.Hashtags); err != nil {
		return draft{}, err
	}
	if err := checkTexts(n); err != nil {
		return draft{}, err
	}
	return d, c.checkSource(n.Source, &d)
}

func setTimes(n NewVideo, row *catalog.Video) error {
	if n.PublishAt != nil {
		if time.Since(*n.PublishAt) > maxPast {
			return invalid("publish_at", "it is more than a day ago; leave it out to publish as soon as possible")
		}
		row.PublishAt = n.PublishAt.UTC()
	}
	if n.PublishDelay != nil {
		delay := time.Duration(*n.PublishDelay)
		if delay < 0 || delay > maxDelay {
			return invalid("publish_delay", "it must be between 0 and 366 days")
		}
		row.PublishDelay = &delay
	}
	return nil
}

func checkReviewers(n NewVideo) error {
	if len(n.Reviewers) > 0 && n.Review != nil && !*n.Review {
		return invalid("review", "it can't be false where reviewers are named; leave out one of them")
	}
	for _, name := range n.Reviewers {
		if people.CheckName(name) != nil {
			return invalid("reviewers", "each must be the name of a person")
		}
	}
	return nil
}

func invalid(field, why string) error {
	return video.Errorf(video.Invalid, "The field %q is not valid: %s.", field, why)
}

func checkTexts(n NewVideo) error {
	for field, text := range map[string]string{"title": n.Title, "caption": n.Caption, "music": n.Music} {
		if !utf8.ValidString(text) {
			return invalid(field, "it must be text in UTF-8")
		}
		if len(text) > 16000 {
			return invalid(field, "it is too long")
		}
		for _, r := range text {
			if why := unprintable(r, field == "caption"); why != "" {
				return invalid(field, fmt.Sprintf("it must not contain %s (%U)", why, r))
			}
		}
	}
	return nil
}

// unprintable says what kind of character has no place in what others read: what is no
// text, what breaks a line where there is only one, and what lets the text around it pass
// for another (overrides and isolates of UAX #9, section 2, which nobody sees). It is empty
// for all others.
func unprintable(r rune, lines bool) string {
	switch {
	case lines && strings.ContainsRune("\n\r\t\u2028\u2029", r):
		return ""
	case r == '\n', r == '\r', r == '\u2028', r == '\u2029':
		return "a line break"
	case unicode.IsControl(r):
		return "a control character"
	case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return "a character that turns the direction of the text"
	}
	return ""
}

func checkHashtags(given []string) ([]string, error) {
	var tags []string
	for _, tag := range given {
		tag = strings.TrimPrefix(tag, "#")
		odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == '#' }
		if tag == "" || utf8.RuneCountInString(tag) > 100 || strings.ContainsFunc(tag, odd) {
			return nil, invalid("hashtags", "each has 1 to 100 characters without spaces")
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func (c *Creator) checkSource(s *Source, d *draft) error {
	if s == nil {
		return nil
	}
	d.about.Filename, d.about.ContentType = s.Filename, s.ContentType
	if s.URL != "" {
		if err := c.settings.Import.Check(s.URL); err != nil {
			return err
		}
		d.row.Import, d.url = true, s.URL
	}
	if s.SHA256 != "" {
		sum, err := hex.DecodeString(s.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return invalid("source.sha256", "it must be 64 hexadecimal digits")
		}
		d.sha256 = sum
	}
	if s.Size == nil {
		return nil
	}
	d.length = *s.Size
	return c.MustFit(d.length)
}

// MustFit refuses early what could never become a video, by Invalid or TooLarge; n is in
// bytes, and -1 not yet known.
func (c *Creator) MustFit(n int64) error {
	switch {
	case n == 0:
		return video.Errorf(video.Invalid, "The file is empty.")
	case n > c.settings.MaxBytes:
		return video.Errorf(video.TooLarge, "The file has %d bytes; at most %d bytes (%.1f MB) are allowed.",
			n, c.settings.MaxBytes, float64(c.settings.MaxBytes)/1e6)
	}
	return nil
}
