// Go: coder/websocket and net/http.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

type event struct {
	Type string `json:"type"`
	Data string `json:"data"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func perSecond(count float64, begin time.Time) float64 {
	return count / time.Since(begin).Seconds()
}

func dial(url string, client *http.Client) *websocket.Conn {
	header := http.Header{"X-API-Key": {os.Getenv("WRENN_API_KEY")}}
	conn, _, err := websocket.Dial(context.Background(), url,
		&websocket.DialOptions{HTTPClient: client, HTTPHeader: header,
			CompressionMode: websocket.CompressionDisabled})
	check(err)
	conn.SetReadLimit(-1)
	return conn
}

func stream(scheme string, size int) float64 {
	ctx := context.Background()
	url, client := os.Getenv("WS_URL"), http.DefaultClient
	if scheme == "wss" {
		pem, err := os.ReadFile(os.Getenv("CA_FILE"))
		check(err)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		url = os.Getenv("WSS_URL")
		client = &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	count := 200000000 / size
	if size == 64 {
		count = 500000
	}
	conn := dial(url+"/v1/capsules/cl-1/exec/stream", client)
	start := fmt.Sprintf(`{"type":"start","cmd":"x","args":["%d","%d","plain"]}`, size, count)
	check(conn.Write(ctx, websocket.MessageText, []byte(start)))
	var begin time.Time
	seen := 0
	for {
		_, data, err := conn.Read(ctx)
		check(err)
		if begin.IsZero() {
			begin = time.Now()
		}
		var e event
		check(json.Unmarshal(data, &e))
		if e.Type == "exit" {
			break
		}
		seen += len(e.Data)
	}
	if seen != size*count {
		check(fmt.Errorf("bytes are missing"))
	}
	return perSecond(float64(count), begin)
}

func request(method, path, kind string, body io.Reader) *http.Response {
	url := os.Getenv("WRENN_BASE_URL") + "/v1/capsules/" + os.Getenv("CAPSULE") + path
	r, err := http.NewRequest(method, url, body)
	check(err)
	r.Header.Set("X-API-Key", os.Getenv("WRENN_API_KEY"))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := http.DefaultClient.Do(r)
	check(err)
	if answer.StatusCode >= 300 {
		check(fmt.Errorf("%s: %s", path, answer.Status))
	}
	return answer
}

func get() float64 {
	begin := time.Now()
	for i := 0; i < 3000; i++ {
		answer := request("GET", "", "", nil)
		var value map[string]any
		check(json.NewDecoder(answer.Body).Decode(&value))
		_, err := io.Copy(io.Discard, answer.Body)
		check(err)
		answer.Body.Close()
	}
	return perSecond(3000, begin)
}

func echo() float64 {
	ctx := context.Background()
	url := strings.Replace(os.Getenv("WRENN_BASE_URL"), "http", "ws", 1)
	conn := dial(url+"/v1/capsules/"+os.Getenv("CAPSULE")+"/pty", http.DefaultClient)
	check(conn.Write(ctx, websocket.MessageText, []byte(
		`{"type":"start","cmd":"/bin/sh","args":["-c","stty raw -echo; printf r; exec cat"]}`)))
	readOutput := func() {
		for {
			kind, data, err := conn.Read(ctx)
			check(err)
			var e event
			if kind == websocket.MessageBinary {
				return
			}
			check(json.Unmarshal(data, &e))
			if e.Type == "output" {
				return
			}
		}
	}
	readOutput()
	trips := make([]float64, 1000)
	for i := range trips {
		begin := time.Now()
		check(conn.Write(ctx, websocket.MessageText, []byte(`{"type":"input","data":"eA=="}`)))
		readOutput()
		trips[i] = time.Since(begin).Seconds()
	}
	check(conn.Write(ctx, websocket.MessageText, []byte(`{"type":"kill"}`)))
	sort.Float64s(trips)
	return trips[500] * 1e6
}

func read(to io.Writer) float64 {
	body, err := json.Marshal(map[string]string{"path": os.Getenv("REMOTE")})
	check(err)
	begin := time.Now()
	answer := request("POST", "/files/stream/read", "application/json", bytes.NewReader(body))
	size, err := io.Copy(to, answer.Body)
	check(err)
	answer.Body.Close()
	return perSecond(float64(size)/(1<<20), begin)
}

func download() float64 {
	file, err := os.Create(os.Getenv("HERE"))
	check(err)
	defer file.Close()
	return read(file)
}

func upload() float64 {
	begin := time.Now()
	file, err := os.Open(os.Getenv("HERE"))
	check(err)
	defer file.Close()
	from, to := io.Pipe()
	form := multipart.NewWriter(to)
	go func() {
		check(form.WriteField("path", os.Getenv("REMOTE")))
		part, err := form.CreateFormFile("file", "file")
		check(err)
		_, err = io.Copy(part, file)
		check(err)
		check(form.Close())
		to.Close()
	}()
	request("POST", "/files/stream/write", form.FormDataContentType(), from).Body.Close()
	return perSecond(256, begin)
}

func main() {
	row := os.Args[1]
	if i := strings.IndexAny(row, "0123456789"); i > 0 {
		size, err := strconv.Atoi(row[i:])
		check(err)
		fmt.Println(stream(row[:i], size))
		return
	}
	rows := map[string]func() float64{"get": get, "echo": echo, "download": download,
		"iterate": func() float64 { return read(io.Discard) }, "upload": upload}
	fmt.Println(rows[row]())
}
