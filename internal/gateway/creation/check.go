package creation

import (
	"crypto/sha256"
	"encoding/hex"
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

const maxDelay = 366 * 24 * time.Hour

// draftOf refuses what can't be, naming the field, and turns the request into a draft.
func (c *Creator) draftOf(n NewVideo, owner people.Person) (draft, error) {
	d := draft{length: -1}
	d.row = catalog.Video{
		Owner: c.ownerID(owner.Name), Visibility: n.Visibility, AllowDownload: n.AllowDownload,
		KeepDraft: n.KeepDraft, Review: n.Review || len(n.Reviewers) > 0, Stage: video.Uploading,
	}
	d.about = about.Video{Owner: owner.Name, Title: n.Title, Caption: n.Caption, Music: n.Music, Reviewers: n.Reviewers}
	if n.Visibility == "" {
		d.row.Visibility = string(video.Public)
	} else if !slices.Contains([]string{string(video.Public), string(video.Unlisted), string(video.Private)}, n.Visibility) {
		return draft{}, invalid("visibility", "it must be public, unlisted or private")
	}
	if n.PublishAt != nil {
		d.row.PublishAt = n.PublishAt.UTC()
	}
	if n.PublishDelay != nil {
		delay := time.Duration(*n.PublishDelay)
		if delay < 0 || delay > maxDelay {
			return draft{}, invalid("publish_delay", "it must be between 0 and 366 days")
		}
		d.row.PublishDelay = &delay
	}
	if n.Protect {
		return draft{}, invalid("protect", "copies that others upload can't be caught yet; leave it out")
	}
	for _, name := range n.Reviewers {
		if people.CheckName(name) != nil {
			return draft{}, invalid("reviewers", "each must be the name of a person")
		}
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

func invalid(field, why string) error {
	return video.Errorf(video.Invalid, "The field %q is not valid: %s.", field, why)
}

func checkTexts(n NewVideo) error {
	for field, text := range map[string]string{"title": n.Title, "caption": n.Caption, "music": n.Music} {
		odd := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
		if !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
			return invalid(field, "it must be text without control characters")
		}
		if len(text) > 16000 {
			return invalid(field, "it is too long")
		}
	}
	return nil
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
