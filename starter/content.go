package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/reelflow/reelflow/video"
)

const (
	// hashedUpTo is the size in bytes up to which a file is read beforehand for its
	// hash, at about a second a gigabyte. Far larger ones are refused for their size.
	hashedUpTo = 1 << 30
	// fileEnd is how much of either end of a larger file stands for all of it, in bytes.
	fileEnd = 1 << 20
)

// content is a file that is uploaded, known by its bytes: a copy of it, under another
// name or with another date, is the same. Whoever opened the file closes it.
type content struct {
	file *os.File
	name string // as people gave it
	size int64
	sum  [sha256.Size]byte

	modified time.Time // when it was last found to be so
}

func identify(file *os.File, info os.FileInfo) (*content, error) {
	c := &content{file: file, name: file.Name(), size: info.Size(), modified: info.ModTime()}
	var err error
	c.sum, err = c.hash()
	return c, err
}

// hash is SHA-256 of all bytes, or of the size and both ends where hashing all would
// take long.
func (c *content) hash() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if c.whole() {
		_, err = io.Copy(h, io.NewSectionReader(c.file, 0, c.size))
	} else {
		fmt.Fprintf(h, "%d\n", c.size) // a hash takes everything
		_, err = io.Copy(h, io.MultiReader(
			io.NewSectionReader(c.file, 0, fileEnd), io.NewSectionReader(c.file, c.size-fileEnd, fileEnd)))
	}
	if err != nil {
		return sum, fmt.Errorf("%s can't be read: %w", c.name, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func (c *content) whole() bool { return c.size <= hashedUpTo }

// sha256 is the hash of the whole file in hex, or empty where only its ends were read.
func (c *content) sha256() string {
	if !c.whole() {
		return ""
	}
	return hex.EncodeToString(c.sum[:])
}

// errChanged is a file that is not what it was any more.
var errChanged = errors.New("the file has changed")

// unchanged fails with errChanged when the file has other bytes than at first. A new
// date alone changes nothing.
func (c *content) unchanged() error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	changed := info.Size() != c.size
	if !changed && !info.ModTime().Equal(c.modified) {
		sum, err := c.hash()
		if err != nil {
			return err
		}
		changed, c.modified = sum != c.sum, info.ModTime()
	}
	if changed {
		return video.Errorf(video.Invalid, "%s was changed while it was sent, so the upload was stopped before its end.", filepath.Base(c.name)).
			Because(errChanged)
	}
	return nil
}
