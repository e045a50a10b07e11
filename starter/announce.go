package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"github.com/reelflow/reelflow/internal/client"
)

// hashedUpTo is the size in bytes up to which a file is read beforehand for its
// hash, at about a second a gigabyte. Far larger ones are refused for their size.
const hashedUpTo = 1 << 30

// announced says what will be sent. With its hash the gateway makes a video of
// nothing else: not of a file that was changed while it was sent, and not of
// another one that an interrupted upload was gone on with.
func announced(file *os.File, info os.FileInfo) (client.Source, error) {
	kind, err := contentType(file)
	if err != nil {
		return client.Source{}, err
	}
	source := client.Source{Size: info.Size(), Filename: filepath.Base(file.Name()), ContentType: kind}
	if source.Size > hashedUpTo {
		return source, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(file, 0, source.Size)); err != nil {
		return source, fmt.Errorf("%s can't be read: %w", file.Name(), err)
	}
	source.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return source, nil
}

// contentType goes by the name, else by the first bytes; it is empty for an empty file.
func contentType(file *os.File) (string, error) {
	if kind := mime.TypeByExtension(filepath.Ext(file.Name())); kind != "" {
		return kind, nil
	}
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	switch {
	case n > 0:
		return http.DetectContentType(head[:n]), nil
	case err == io.EOF:
		return "", nil
	}
	return "", err
}
