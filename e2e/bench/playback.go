package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/internal/objects"
	"github.com/reelflow/reelflow/internal/vault"
	"github.com/reelflow/reelflow/video"
)

const (
	filmSegments = 300 // of segmentBytes: more than the gateway keeps in memory
	warmSegments = 100
	segmentBytes = 1_200_000
	warmRequests = 2000
	coldRequests = 2 * filmSegments
	textRequests = 10_000
)

// playback measures how fast segments, playlists and keys are served, beside nginx with
// the very same bytes: on files, where ours come from memory, and as a proxy of the
// store, where ours come from it, too.
func (b *bench) playback() error {
	f, err := b.film()
	if err != nil {
		return err
	}
	n, err := b.startNginx(filepath.Join(b.dir, "files"))
	if err != nil {
		return err
	}
	defer n.stop()
	p := playback{b, f, n}
	for _, measure := range []func() error{p.fromMemory, p.fromTheStore, p.evenly, p.texts} {
		if err := measure(); err != nil {
			return err
		}
	}
	return b.purge(f.id.Prefix(), b.stores[0])
}

type playback struct {
	*bench
	*film
	nginx *nginx
}

// film is a published video that no workflow has made.
type film struct {
	id                    video.ID
	ours, files, proxied  []string // addresses of its segments
	hls, playlist, oneKey string   // of its master playlist, and in it
}

// film puts a video into the primary store, the manifest and a folder of files.
func (b *bench) film() (*film, error) {
	dir := filepath.Join(b.dir, "stack")
	rows, err := catalog.Open(b.ctx, "sqlite://"+filepath.Join(dir, "catalog.db"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	keys, err := vault.Open(filepath.Join(dir, "vault"))
	if err != nil {
		return nil, err
	}
	defer keys.Close()
	f := &film{id: video.NewID()}
	token := sha256.Sum256([]byte(f.id))
	leg := catalog.Leg{Video: f.id, Epoch: 1}
	err = errors.Join(keys.Make(b.ctx, f.id), keys.Confirm(b.ctx, f.id),
		rows.CreateVideo(b.ctx, catalog.Video{ID: f.id, Stage: video.Processing, Visibility: "public"}, catalog.Upload{Video: f.id, TokenHash: token[:], Length: 1}),
		rows.Enter(b.ctx, leg, nil), os.MkdirAll(filepath.Join(b.dir, "files"), 0o755))
	if err != nil {
		return nil, err
	}
	segment := make([]byte, segmentBytes) // noise to everybody who serves it
	for i := range filmSegments {
		rand.Read(segment)
		if err := b.addSegment(rows, leg, f, i, segment); err != nil {
			return nil, err
		}
	}
	if _, err := rows.Control(b.ctx, catalog.Control{Video: f.id, Epoch: 2}, func(v *catalog.Video) { v.Stage = video.Published }); err != nil {
		return nil, err
	}
	p, err := b.me.Playback(b.ctx, f.id)
	f.hls = p.HLS
	f.playlist, f.oneKey = strings.Replace(p.HLS, "master", "720p", 1), strings.Replace(p.HLS, "master.m3u8", "key/720p/0", 1)
	return f, err
}

func (b *bench) addSegment(rows *catalog.Catalog, leg catalog.Leg, f *film, i int, segment []byte) error {
	store, name := b.stores[0], fmt.Sprintf("%d.ts", i)
	sum := sha256.Sum256(segment)
	intended, err := rows.Intend(b.ctx, leg, []catalog.Object{{
		Store: store.Name(), Key: f.id.Prefix() + "hls/720p/" + name, Kind: catalog.KindSegment, Rendition: "720p", Index: i, Duration: 4,
		IV: make([]byte, 16), PlainSize: segmentBytes - 16, Size: segmentBytes, SHA256: sum[:],
	}})
	if err != nil {
		return err
	}
	o := intended[0]
	if o.Version, err = store.Put(b.ctx, o.Key, segment, objects.PutOptions{}); err != nil {
		return err
	}
	f.ours = append(f.ours, b.URLs[0]+"/media/"+string(f.id)+"/720p/"+name)
	f.files = append(f.files, "/files/"+name)
	f.proxied = append(f.proxied, "/store"+b.places[0].presign(o.Key, time.Now()))
	return errors.Join(rows.Commit(b.ctx, leg, o), os.WriteFile(filepath.Join(b.dir, "files", name), segment, 0o644))
}

func (p playback) fromMemory() error {
	return p.compare("2,000 segments of 1.2 MB to 16 viewers, from memory", p.ours[:warmSegments], p.nginx.at(p.files[:warmSegments]), warmRequests, 1/0.8, "nginx on files")
}

func (p playback) fromTheStore() error {
	return p.compare("600 segments of 1.2 MB to 16 viewers, from the store", p.ours, p.nginx.at(p.proxied), coldRequests, 1/0.9, "nginx as a proxy of the store")
}

func (p playback) compare(what string, ours, theirs []string, requests int, limit float64, peer string) error {
	us := &contestant{}
	us.once = func() (time.Duration, error) {
		return p.watch(ours, 16, requests, nil, p.Gateways[0].Pid(), &us.processor)
	}
	them := &contestant{}
	them.once = func() (time.Duration, error) {
		return p.watch(theirs, 16, requests, nil, p.nginx.pid(), &them.processor)
	}
	if err := p.compete(us, them); err != nil {
		return err
	}
	against(what, us, them, limit, fmt.Sprintf("%.0f/s; peer: %s, %.0f/s; processor %v and %v", float64(requests)/us.times.median().Seconds(),
		peer, float64(requests)/them.times.median().Seconds(), us.processor.median(), them.processor.median())).print()
	return nil
}

// evenly compares how long the slowest wait, in medians of the same run.
func (p playback) evenly() error {
	var ratios [2][]float64
	for range p.turns {
		for i, urls := range [][]string{p.ours[:warmSegments], p.nginx.at(p.files[:warmSegments])} {
			var waits series
			if _, err := p.watch(urls, 64, warmRequests, &waits, 0, nil); err != nil {
				return err
			}
			slices.Sort(waits)
			ratios[i] = append(ratios[i], waits[len(waits)*99/100].Seconds()/waits.median().Seconds())
		}
	}
	for i := range ratios {
		slices.Sort(ratios[i])
	}
	us, them := ratios[0][len(ratios[0])/2], ratios[1][len(ratios[1])/2]
	row{"99th percentile of a wait over its median, 64 viewers", fmt.Sprintf("%.2f", us), fmt.Sprintf("%.2f", them), fmt.Sprintf("%.2f", us/them), atMost(us/them, 1.25, ""), "peer: nginx on files"}.print()
	return nil
}

func (p playback) texts() error {
	for what, address := range map[string]string{"playlists": p.playlist, "keys": p.oneKey} {
		us := &contestant{}
		us.once = func() (time.Duration, error) {
			return p.watch([]string{address}, 16, textRequests, nil, p.Gateways[0].Pid(), &us.processor)
		}
		if err := p.compete(us); err != nil {
			return err
		}
		rate := textRequests / us.times.median().Seconds()
		verdict := "≥ 5000/s: met"
		if rate < 5000 {
			verdict = "≥ 5000/s: **missed**"
		}
		row{"10,000 " + what + " to 16 viewers", us.times.String(), "", "", verdict, fmt.Sprintf("%.0f/s; processor %v", rate, us.processor.median())}.print()
	}
	return nil
}

// watch asks for so many of the addresses, in turn, as so many viewers at once, each on
// a connection of its own. Waits and processor time, of the server, are noted unless nil.
func (b *bench) watch(urls []string, viewers, requests int, waits *series, server int, processor *series) (time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: viewers, ReadBufferSize: 64 << 10, DisableCompression: true}}
	defer client.CloseIdleConnections()
	before, err := family(server)
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	var mu sync.Mutex
	var all series
	var failed []error
	var wait sync.WaitGroup
	begun := time.Now()
	for range viewers {
		wait.Go(func() {
			var mine series
			var err error
			room := make([]byte, 256<<10)
			for n := next.Add(1) - 1; err == nil && n < int64(requests); n = next.Add(1) - 1 {
				asked := time.Now()
				err = b.fetch(client, urls[n%int64(len(urls))], room)
				mine = append(mine, time.Since(asked))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, mine...), append(failed, err)
		})
	}
	wait.Wait()
	took := time.Since(begun)
	if waits != nil {
		*waits = all
	}
	after, err := family(server)
	if processor != nil {
		*processor = append(*processor, after-before)
	}
	return took, errors.Join(append(failed, err)...)
}

func (b *bench) fetch(client *http.Client, address string, room []byte) error {
	r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	got, err := client.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, got.Body, room)
	if err == nil && (got.StatusCode != http.StatusOK || strings.HasSuffix(r.URL.Path, ".ts") && n != segmentBytes) {
		err = fmt.Errorf("%s: %s, %d bytes", r.URL.Path, got.Status, n)
	}
	return err
}

// family is the processor time of a process and its children; 0 for no process.
func family(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	sum, err := process(pid).processor()
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range bytes.Fields(children) {
		var n int
		if _, err := fmt.Sscan(string(child), &n); err != nil {
			return 0, err
		}
		time, err := process(n).processor()
		if err != nil {
			return 0, err
		}
		sum += time
	}
	return sum, err
}

// presign returns path and query of a GET that the store answers without any other
// credentials for a day (AWS, Signature Version 4, "Authenticating Requests: Using Query
// Parameters").
func (p place) presign(key string, now time.Time) string {
	day, stamp := now.UTC().Format("20060102"), now.UTC().Format("20060102T150405Z")
	scope := day + "/us-east-1/s3/aws4_request"
	path := "/" + p.bucket + "/" + key
	query := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + p.user + strings.ReplaceAll("/"+scope, "/", "%2F") +
		"&X-Amz-Date=" + stamp + "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
	host := strings.TrimPrefix(p.endpoint, "http://")
	request := "GET\n" + path + "\n" + query + "\nhost:" + host + "\n\nhost\nUNSIGNED-PAYLOAD"
	sum := sha256.Sum256([]byte(request))
	signed := []byte("AWS4" + p.password)
	for _, part := range []string{day, "us-east-1", "s3", "aws4_request", "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])} {
		signed = hmacSHA256(signed, part)
	}
	return path + "?" + query + "&X-Amz-Signature=" + hex.EncodeToString(signed)
}
