package pages

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/problem"
)

type asset struct {
	data             []byte
	contentType, tag string
}

func loadAssets(files fs.FS) (map[string]asset, error) {
	assets := map[string]asset{}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		assets[e.Name()] = asset{data, mime.TypeByExtension(path.Ext(e.Name())), fmt.Sprintf(`"%x"`, sum[:12])}
	}
	return assets, nil
}

func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) error {
	a, ok := p.assets[r.PathValue("name")]
	if !ok {
		return problem.NothingHere()
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("ETag", a.tag)
	w.Header().Set("Cache-Control", "no-cache") // kept, but asked for
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.data))
	return nil
}
