-- server:connections(): every connection of the server, page by page: those that come and go meanwhile do no harm.
local PAGE = 200

return function(server)
	local page, at, last = nil, 0, 0

	return function()
		at = at + 1
		if not page or (at > #page and #page > 0) then
			local message
			page, message = server:get_client_list(last, PAGE)
			if not page then
				error("server:connections: " .. message, 2)
			end
			at = 1
		end
		last = page[at]
		return last
	end
end
