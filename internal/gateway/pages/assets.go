package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reelflow/reelflow/internal/gateway/problem"
	"github.com/reelflow/reelflow/web"
)

// How long browsers keep an asset: a plain name is kept, but asked for; what a name with
// a hash stands for never changes (RFC 8246).
const (
	askedFor = "no-cache"
	forever  = "public, max-age=31536000, immutable"
)

// asset is a file of the pages, compressed once where that makes it smaller.
type asset struct {
	contentType string
	hash        string // of its content, hex
	plain       []byte
	gzipped     []byte // nil where it isn't smaller
}

// assets are the files of the pages by their name.
type assets map[string]asset

// embedded are those of this program, read and compressed once.
var embedded = sync.OnceValues(func() (assets, error) {
	files, err := web.Assets()
	if err != nil {
		return nil, err
	}
	return loadAssets(files)
})

func loadAssets(files fs.FS) (assets, error) {
	all := assets{}
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
		if all[e.Name()], err = newAsset(e.Name(), data); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newAsset(name string, data []byte) (asset, error) {
	sum := sha256.Sum256(data)
	a := asset{contentType: mime.TypeByExtension(path.Ext(name)), hash: hex.EncodeToString(sum[:12]), plain: data}
	var smaller bytes.Buffer
	w, err := gzip.NewWriterLevel(&smaller, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	if _, err := w.Write(data); err != nil {
		return asset{}, err
	}
	if err := w.Close(); err != nil {
		return asset{}, err
	}
	if smaller.Len() < len(data) {
		a.gzipped = smaller.Bytes()
	}
	return a, nil
}

// hashedName matches name-hash.ext, under which pages ask for name.ext.
var hashedName = regexp.MustCompile(`^(.+)-([0-9a-f]{24})(\.[^.]+)$`)

// address is where a page finds an asset: under a name with the hash of its content, or
// under its plain name where there is no such file, as before the script is built.
func (all assets) address(name string) string {
	if a, ok := all[name]; ok {
		ext := path.Ext(name)
		name = strings.TrimSuffix(name, ext) + "-" + a.hash + ext
	}
	return "/assets/" + name
}

// find returns the asset of either name, and how long it may be kept. A page of another
// release, that another gateway has served, asks by another hash: it gets the file that
// is here, but must not keep it.
func (all assets) find(name string) (a asset, keep string, ok bool) {
	if a, ok = all[name]; ok {
		return a, askedFor, true
	}
	parts := hashedName.FindStringSubmatch(name)
	if parts == nil {
		return asset{}, "", false
	}
	a, ok = all[parts[1]+parts[3]]
	if keep = askedFor; a.hash == parts[2] {
		keep = forever
	}
	return a, keep, ok
}

func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request) error {
	a, keep, ok := p.assets.find(r.PathValue("name"))
	if !ok {
		return problem.NothingHere()
	}
	w.Header().Set("Cache-Control", keep)
	a.serve(w, r)
	return nil
}

// serve answers in the encoding that the request accepts, but a range of the plain
// content. Each encoding has a tag of its own (RFC 9110, section 8.8.3.3).
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h, data, tag := w.Header(), a.plain, a.hash
	if a.gzipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if r.Header.Get("Range") == "" && acceptsGzip(r) {
			data, tag = a.gzipped, a.hash+"-gzip"
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(data))) // which ServeContent leaves out of what is encoded
		}
	}
	h.Set("Content-Type", a.contentType)
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3): gzip by its name, or by
// the asterisk for all that have none, with a weight above zero.
func acceptsGzip(r *http.Request) bool {
	accepted := false
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(coding, " ", "")), ";q=")
		q, err := strconv.ParseFloat(weight, 64)
		wanted := weight == "" || err == nil && q > 0
		switch name {
		case "gzip", "x-gzip":
			return wanted
		case "*":
			accepted = wanted
		}
	}
	return accepted
}
