package main

import (
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"

	"github.com/reelflow/reelflow/internal/client"
)

// announced says what will be sent. With its hash the gateway makes a video of
// nothing else: not of a file that was changed while it was sent, and not of
// another one that an interrupted upload was gone on with.
func announced(c *content) (client.Source, error) {
	kind, err := contentType(c.file)
	return client.Source{Size: c.size, Filename: filepath.Base(c.name), ContentType: kind, SHA256: c.sha256()}, err
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
