-- The page of the chat.
return [[
<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<style>
	body { font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 2em auto; padding: 0 1em }
	ol { list-style: none; padding: 0; min-height: 12em }
	.note { color: #777 }
	form { display: flex; gap: .5em }
	input { flex: 1; font: inherit; padding: .3em }
</style>
<h1>Chat</h1>
<ol id="log" aria-live="polite"></ol>
<form id="form"><input id="text" autocomplete="off" placeholder="Say something"><button>Send</button></form>
<script>
	const query = new URLSearchParams(location.search)
	const log = document.getElementById("log"), text = document.getElementById("text")
	const words = { comes: "comes", leaves: "leaves" }
	let socket

	function show(line, note) {
		const item = document.createElement("li")
		item.textContent = line
		item.className = note ? "note" : ""
		log.append(item)
		item.scrollIntoView()
	}

	function connect() {
		socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/?" + query)
		socket.onmessage = event => {
			const [kind, name, said] = event.data.split("\t")
			show(kind in words ? `${name} ${words[kind]}` : `${name}: ${said}`, kind in words)
		}
		socket.onclose = () => { show("The connection is lost; trying again.", true); setTimeout(connect, 1000) }
	}

	document.getElementById("form").onsubmit = event => {
		event.preventDefault()
		if (text.value && socket.readyState === WebSocket.OPEN) socket.send(text.value)
		text.value = ""
	}
	if (!query.get("name")) query.set("name", "guest " + Math.floor(Math.random() * 1000))
	connect()
</script>
]]
