-- server:broadcast(): a message to every other worker. One that cannot be reached does not keep it from the others.
return function(server, data)
	local failure, code
	for id = 0, tonumber(server.setting.worker_num) - 1 do
		if id ~= server.worker_id then
			local sent, message, number = server:send_message(data, id)
			if not sent then
				failure, code = ("worker %d: %s"):format(id, message), number
			end
		end
	end
	if failure then
		return nil, failure, code
	end
	return true
end
